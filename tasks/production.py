"""The models in use: found by their alias, and replaced by better ones. The alias file is the only truth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segspade_core.config import RetrainConfig, RunConfig, SegmenterConfig
from segspade_core.errors import InputError
from storage.aliases import Aliases
from storage.errors import StorageError
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.deciding import read_decision
from tasks.plan import Plan
from tasks.stage import tell
from tasks.training import plan_segmenter


def in_use(workspace: Path, kind: str, alias: str) -> ArtifactRef | None:
    """The artifact of `kind` that `alias` points to, None if there is none yet.

    Raises:
        MissingArtifact: the alias points to an artifact that was deleted.
    """
    key = Aliases(workspace).get(kind, alias)
    if key is None:
        return None
    ref = ArtifactRef.model_validate({"kind": kind, "key": key})
    Store(workspace).manifest(ref)
    return ref


def last_named(workspace: Path, kind: str, alias: str) -> ArtifactRef | None:
    """The artifact of `kind` that `alias` points to; None if there is none, or none any more."""
    key = Aliases(workspace).get(kind, alias)
    ref = None if key is None else ArtifactRef.model_validate({"kind": kind, "key": key})
    return ref if ref is not None and Store(workspace).exists(ref) else None


def named(workspace: Path, text: str, *kinds: str) -> ArtifactRef:
    """The artifact that a person means by a key or an alias; what was meant is said in the run's log.

    Raises:
        MissingArtifact: nothing is called so.
        InputError: there is no workspace.
    """
    if not workspace.is_dir():
        raise InputError(
            f"{workspace}: there is no workspace here; give the folder that the worker sees it in"
        )
    ref = Store(workspace).resolve(text, kinds=kinds)
    if str(ref) != text:
        tell(f"{text} is {ref}")
    return ref


def put_in_use(workspace: Path, model: ArtifactRef, alias: str, reason: str) -> None:
    """Point the alias to the model. What it pointed to stays in its history, and has a name of its own."""
    aliases = Aliases(workspace)
    before = aliases.get(model.kind, alias)
    if before != model.key:
        if before is not None:
            # named, so that it is not collected as garbage while a person may want it back
            aliases.set(model.kind, f"{alias}-before", before, f"was {alias} until {model.key}")
        aliases.set(model.kind, alias, model.key, reason)
        tell(f"{model.kind}/{alias} is {model} now: {reason}")


REST = "Nothing to do"


@dataclass(frozen=True)
class Candidate:
    """A training that may make a better segmenter than the one in use.

    Attributes:
        champion: the segmenter in use, None if there is none yet.
        settings: of the training, with where it starts from.
        plan: what the training makes; its key is the challenger's.
        run: name of the run's config; decisions are kept under it.
    """

    workspace: Path
    champion: ArtifactRef | None
    settings: SegmenterConfig
    plan: Plan
    how: RetrainConfig
    run: str

    @property
    def challenger(self) -> ArtifactRef:
        return self.plan.ref


@dataclass(frozen=True)
class Outcome:
    """How a retraining ended: 'Promoted', 'Kept', 'Finished' or 'Nothing to do', and why."""

    name: str
    reason: str


def candidate_of(workspace: Path, dataset: ArtifactRef, config: RunConfig) -> Candidate:
    """What training on `dataset` today would make, and what it would have to beat.

    Raises:
        MissingArtifact: the segmenter in use was deleted.
        InputError: a file of weights to start from is missing.
    """
    how, settings = config.retrain, config.segmenter
    champion = in_use(workspace, "segmenter", how.alias)
    if how.start == "champion" and champion is not None:
        weights = Store(workspace).path(champion) / "model.safetensors"
        settings = settings.model_copy(update={"weights": str(weights)})
    plan = plan_segmenter(workspace, dataset, settings, config.runtime)
    return Candidate(workspace, champion, settings, plan, how, config.name)


def reason_to_rest(candidate: Candidate) -> Outcome | None:
    """Why there is nothing to do; None if there is: a challenger to train, or to finish, or to judge."""
    champion, challenger, alias = candidate.champion, candidate.challenger, candidate.how.alias
    if champion is None:
        return None
    if _is_trained_so(candidate):
        return Outcome(REST, f"nothing changed since {champion} was trained")
    if challenger.key in Aliases(candidate.workspace).undone("segmenter", alias):
        return Outcome(
            REST,
            f"nothing changed since segmenter/{alias} was rolled back from {challenger}; to have it again: "
            f"segspade alias set segmenter/{alias} {challenger.key}",
        )
    earlier = in_use(candidate.workspace, "decision", candidate.run)
    if earlier is not None and _was_decided(candidate, earlier):
        verdict = read_decision(candidate.workspace, earlier)
        return Outcome(
            REST, f"nothing changed since {challenger} was compared and not promoted: {verdict['reason']}"
        )
    return None


def of_refresh(outcome: Outcome, made: bool) -> Outcome:
    """How the run ended, now that it is known whether what follows the models in use had to be made.

    A run that is cut short behind a promotion leaves that to the next.
    """
    if outcome.name != REST or not made:
        return outcome
    return Outcome("Finished", f"{outcome.reason}; what follows from that is up to date now")


def elect(candidate: Candidate, decision: ArtifactRef | None) -> Outcome:
    """Put the challenger in use if it won, or if there was none to beat.

    Raises:
        StorageError: another segmenter came into use meanwhile, which the challenger was not compared with.
    """
    alias = candidate.how.alias
    if decision is None:
        reason, better = "there was none in use", True
    else:
        verdict = read_decision(candidate.workspace, decision)
        reason, better = verdict["reason"], bool(verdict["promote"])
    if better:
        if in_use(candidate.workspace, "segmenter", alias) != candidate.champion:
            raise StorageError(
                f"segmenter/{alias} was changed while {candidate.challenger} was trained, which was compared "
                "with what was in use before; nothing was promoted: run the retraining again"
            )
        put_in_use(candidate.workspace, candidate.challenger, alias, reason)
        return Outcome("Promoted", f"{candidate.challenger} is in use now: {reason}")
    return Outcome("Kept", f"{candidate.champion} stays in use: {reason}")


def _is_trained_so(candidate: Candidate) -> bool:
    """Whether the champion was trained on the same data with the same settings, wherever it started from."""
    assert candidate.champion is not None
    manifest, plan = Store(candidate.workspace).manifest(candidate.champion), candidate.plan
    left_out = {"weights"} if candidate.how.start == "champion" else set()
    settings, wanted = (
        {name: value for name, value in config.items() if name not in left_out}
        for config in (manifest.config, plan.config)
    )
    made_by = manifest.stage, manifest.revision, manifest.inputs
    return settings == wanted and made_by == (plan.stage, plan.revision, plan.inputs)


def _was_decided(candidate: Candidate, decision: ArtifactRef) -> bool:
    manifest = Store(candidate.workspace).manifest(decision)
    sides = manifest.inputs["champion"], manifest.inputs["challenger"]
    return (
        sides == (str(candidate.champion), str(candidate.challenger))
        and manifest.config == candidate.how.decision.model_dump(mode="json")
        and manifest.inputs["dataset"] == candidate.plan.inputs["dataset"]
        and not read_decision(candidate.workspace, decision)["promote"]
    )


def trained_on(workspace: Path, model: ArtifactRef) -> ArtifactRef:
    """The dataset that a model was trained on.

    Raises:
        MissingArtifact: it was deleted.
    """
    dataset = Store(workspace).manifest(model).input_refs["dataset"]
    Store(workspace).manifest(dataset)
    return dataset
