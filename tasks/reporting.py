"""Write the report: one page of scores, pictures, curves and lineage, made of artifacts alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import task

from segspade_core.config import ReportConfig, RuntimeConfig
from segspade_core.errors import InputError
from segspade_core.figures.journey import journey_figure
from segspade_core.figures.report import render_report
from segspade_core.figures.report_data import LineageStep, ReportData, TrainingHistory
from storage.files import put_bytes
from storage.manifest import Manifest
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks import inspecting, scoring
from tasks.frames import journey_samples, read_summary
from tasks.plan import Plan
from tasks.splits import has_labels

REVISION = 6
PAGE = "report.html"

_HEADINGS = {"segmenter": "Segmenter: loss", "generator": "Generator: losses"}


def plan_report(
    workspace: Path, scores: ArtifactRef, config: ReportConfig, runtime: RuntimeConfig | None = None
) -> Plan:
    """What a report on `scores`, and on all they were made from, makes.

    Raises:
        InputError: they are of an older version, and lack what a report shows.
    """
    manifest = Store(workspace).manifest(scores)
    if manifest.stage == "score" and manifest.revision < scoring.REVISION:
        raise InputError(
            f"{scores} were made by an older SegSPADE and lack what a report shows; make them again with "
            "segspade score, and report the scores it names; or repeat the run that they are of"
        )
    return Plan(
        workspace=workspace,
        stage="report",
        kind="report",
        revision=REVISION,
        config=config.model_dump(mode="json"),
        inputs={"scores": str(scores)},
        runtime=runtime or RuntimeConfig(),
    )


@task(name="report", task_run_name="report {plan.key}")
def write_report(plan: Plan) -> dict[str, Any]:
    """Put the page, the figures of every split as PNG, and the inspector with pictures of every frame.

    Returns:
        'counts' for the manifest: of the frames shown.

    Raises:
        DamagedArtifact: something it is made from is missing or altered.
    """
    config = ReportConfig(**plan.config)
    scores = plan.input("scores")
    folder = plan.store.path(scores)
    summary = read_summary(plan.workspace, scores)
    journeys = {
        split: journey_samples(plan.workspace, scores, split, config.samples) for split in summary["splits"]
    }
    manifests = [plan.store.manifest(ref) for ref in plan.store.lineage(scores) if plan.store.exists(ref)]
    about = _about_generator(plan.store, manifests)
    data = ReportData(
        title=config.title,
        summary=summary,
        per_class=read_table(folder / "per_class.parquet"),
        per_category=read_table(folder / "per_category.parquet"),
        confusion=read_table(folder / "confusion.parquet"),
        journeys=journeys,
        facts=_facts(plan, manifests),
        lineage=[_step(manifest, about) for manifest in manifests],
        histories=[
            history for manifest in manifests if (history := _history(plan.store, manifest)) is not None
        ],
        notes=_notes(plan, summary, manifests, about),
        inspector=inspecting.PAGE,
    )
    for split, samples in journeys.items():
        put_bytes(plan.staging / f"{split}.png", journey_figure(samples))
    inspecting.write_inspector(plan, list(summary["splits"]), config.title, config.inspector_px)
    put_bytes(plan.staging / PAGE, render_report(data).encode())
    return {"counts": {split: len(samples) for split, samples in journeys.items()}}


def _of_kind(manifests: list[Manifest], kind: str) -> Manifest:
    return next(manifest for manifest in manifests if manifest.kind == kind)


def _about_generator(store: Store, manifests: list[Manifest]) -> dict[str, Any] | None:
    """What is known of an imported generator; None of one that was trained here."""
    path = store.path(_of_kind(manifests, "generator").ref) / "about.json"
    return dict(json.loads(path.read_bytes())) if path.exists() else None


def _step(manifest: Manifest, about: dict[str, Any] | None) -> LineageStep:
    config = manifest.config
    if manifest.kind == "generator" and about is not None:
        config = {**config, "trained beforehand": about}
    return LineageStep(
        kind=manifest.kind,
        key=manifest.key,
        stage=manifest.stage,
        seconds=manifest.seconds,
        inputs=manifest.inputs,
        config=config,
        device=manifest.device,
    )


def _history(store: Store, manifest: Manifest) -> TrainingHistory | None:
    steps = store.path(manifest.ref) / "steps.parquet"
    if manifest.kind not in _HEADINGS or not steps.exists():
        return None
    epochs = steps.with_name("epochs.parquet")
    return TrainingHistory(_HEADINGS[manifest.kind], read_table(steps), read_table(epochs))


def _facts(plan: Plan, manifests: list[Manifest]) -> dict[str, str]:
    scores, dataset = _of_kind(manifests, "scores"), _of_kind(manifests, "dataset")
    segmenter, generator = _of_kind(manifests, "segmenter"), _of_kind(manifests, "generator")
    facts = {
        "dataset": f"{dataset.config['layout']} at {dataset.config['size']}; "
        + ", ".join(f"{count} {split}" for split, count in dataset.counts.items()),
        "scored": ", ".join(f"{count} {split}" for split, count in scores.counts.items()),
        "segmenter": "{encoder} with {head} from weights '{weights}', {epochs} epochs, batch {batch}, "
        "seed {seed}".format(**{"head": "fcn32", **segmenter.config}),
        "generator": _generator_fact(generator),
        "resizing": "; ".join(f"{name} {rule}" for name, rule in dataset.config.get("resize", {}).items()),
        "code": scores.git_commit or f"segspade {scores.packages.get('segspade', '')}".strip(),
        "scores": str(plan.input("scores")),
    }
    return {name: value for name, value in facts.items() if value}


def _generator_fact(generator: Manifest) -> str:
    if generator.stage == "import-generator":
        return f"imported from {generator.config['weights']}"
    return "SPADE, {epochs} epochs, batch {batch}, seed {seed}".format(**generator.config)


def _notes(
    plan: Plan, summary: dict[str, Any], manifests: list[Manifest], about: dict[str, Any] | None
) -> list[str]:
    notes = []
    if about is not None:
        notes.append(_trained_beforehand(about))
    dataset = _of_kind(manifests, "dataset").ref
    for split in summary["splits"]:
        if not has_labels(plan.workspace, dataset, split):
            notes.append(
                f"The {split} split has no label maps: only the two maps of its cycle can be compared."
            )
    left_out = plan.store.path(dataset) / "left_out.parquet"
    if left_out.exists():
        count = read_table(left_out)["file"].nunique()
        notes.append(f"{count} files with problems were left out when the dataset was ingested.")
    return notes


def _trained_beforehand(about: dict[str, Any]) -> str:
    """One sentence on where an imported generator comes from, with what its own manifest tells."""
    manifest = about.get("manifest") or {}
    told = [f"{about['parameters']:,} parameters"] if "parameters" in about else []
    epochs = manifest.get("config", {}).get("epochs")
    told += [f"{epochs} epochs"] if epochs is not None else []
    counts = manifest.get("counts", {})
    told += [f"on {counts['train']} photographs"] if "train" in counts else []
    if manifest.get("seconds"):
        told.append(f"{float(manifest['seconds']) / 3600:.1f} hours on {manifest.get('device', 'a machine')}")
    return (
        f"The generator was trained beforehand, not in this run: {about['source']}"
        + (f" ({', '.join(told)})" if told else "")
        + ". Its manifest stands in the lineage below."
    )
