"""Segmenters side by side: what their artifacts tell of them, and what is measured now. Needs no Prefect."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from segspade_core.config import IngestConfig, LookConfig, RuntimeConfig
from segspade_core.errors import InputError
from segspade_core.figures.segmenters import ComparedSegmenter
from storage.aliases import Aliases
from storage.manifest import Manifest
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import read_table
from tasks.models import device_name, segmenter_of
from tasks.progress import progress

_IMAGES = 2  # predicted in one go


@dataclass(frozen=True)
class SegmenterComparison:
    """Some segmenters, in the order asked for, and where and how often their speed was measured."""

    segmenters: tuple[ComparedSegmenter, ...]
    device: str
    rounds: int


def compare_segmenters(
    workspace: Path, refs: Sequence[ArtifactRef], runtime: RuntimeConfig, rounds: int = 5
) -> SegmenterComparison:
    """Look up and measure each segmenter at the size of the dataset that it was trained on.

    Speed is that of `segmentation.predict`, one photograph at a time and from pixels to label ids: the median
    over rounds, in each of which all segmenters take their turn, so that a machine that is busy for a while
    is busy for all of them.

    Raises:
        InputError: a dataset is gone, so that its size is not known.
        DamagedArtifact: a file is missing or altered.
    """
    from segspade_core.segmentation import predict  # here: it takes seconds to import
    from segspade_core.segmentation.cost import count_macs, count_parameters

    store = Store(workspace)
    refs = list(dict.fromkeys(refs))
    sizes = [_size_of(store, ref) for ref in refs]
    models = []
    for ref in refs:
        model, device = segmenter_of(workspace, ref, runtime)
        models.append(model)
    images = {
        size: np.random.default_rng(0).integers(0, 256, (_IMAGES, *size, 3), np.uint8) for size in sizes
    }
    seconds: list[list[float]] = [[] for _ in refs]
    with progress("compare", (rounds + 1) * len(refs), "run") as bar:
        for at_round in range(rounds + 1):
            for at, (model, size) in enumerate(zip(models, sizes, strict=True)):
                began = time.perf_counter()
                predict(model, images[size], device)
                if at_round:  # before that, kernels are chosen and memory is found
                    seconds[at].append(time.perf_counter() - began)
                bar.advance()
    rows = [
        ComparedSegmenter(
            **_told(store, ref),
            size="{}x{}".format(*size),
            encoder=model.encoder_name,
            head=model.head_name,
            classes=model.num_classes,
            images_per_second=_IMAGES / statistics.median(taken),
            parameters=count_parameters(model),
            macs=count_macs(model, size),
        )
        for ref, size, model, taken in zip(refs, sizes, models, seconds, strict=True)
    ]
    return SegmenterComparison(tuple(rows), device_name(runtime), rounds)


def _size_of(store: Store, ref: ArtifactRef) -> tuple[int, int]:
    dataset = store.manifest(ref).input_refs["dataset"]
    if not store.exists(dataset):
        raise InputError(
            f"{dataset}, which {ref} was trained on, is gone: nobody knows what size to measure at"
        )
    config = store.manifest(dataset).config
    return IngestConfig(layout=config["layout"], size=config["size"]).size


def _told(store: Store, ref: ArtifactRef) -> dict[str, Any]:
    """What the artifact's manifest and tables, and scores of it, say."""
    manifest = store.manifest(ref)
    names = [name for kind, name, key in Aliases(store.root).list() if (kind, key) == (ref.kind, ref.key)]
    dataset = manifest.input_refs["dataset"]
    file = store.path(ref) / "epochs.parquet"
    epochs = read_table(file) if file.exists() else pd.DataFrame()
    images = len(epochs) * store.manifest(dataset).counts.get("train", 0)
    scored = _scored(store, manifest)
    return {
        "key": ref.key,
        "names": tuple(names),
        "dataset": dataset.key,
        "val_miou": manifest.metrics.get("val_miou"),
        "val_mious": tuple(epochs["val_miou"].tolist()) if "val_miou" in epochs else (),
        "scored_at": scored.get("at"),
        "scored_miou": scored.get("ids", {}).get("miou"),
        "scored_miou_19": scored.get("train_ids", {}).get("miou"),
        "training_images_per_second": images / manifest.seconds if images and manifest.seconds else None,
    }


def _scored(store: Store, segmenter: Manifest) -> dict[str, Any]:
    """What scores of it on its own dataset say of val, and 'at': the size and looks that they were made with.

    Of several, those as the official protocol has them come first: one look at each photograph, compared at
    the size of the true maps. Of these count the ones of the most samples, and of these the newest.
    """
    found = []
    for ref in store.refs("scores"):
        scores = store.manifest(ref)
        same = scores.inputs.get("dataset") == segmenter.inputs["dataset"]
        if same and scores.inputs.get("segmenter") == str(segmenter.ref) and "val" in scores.counts:
            looks = _looks(store, scores)
            official = not looks and scores.config.get("resolution", "label") == "label"
            found.append(((official, scores.counts["val"], scores.created), looks, ref))
    if not found:
        return {}
    _, looks, chosen = max(found, key=lambda item: item[0])
    summary = json.loads((store.path(chosen) / "scores.json").read_bytes())
    told = dict(summary["splits"]["val"].get("segmenter", {}))
    return told | {"at": ", ".join([told.get("size", "a size nobody noted"), *looks])}


def _looks(store: Store, scores: Manifest) -> list[str]:
    """In words, how val's photographs were looked at; empty for one plain look."""
    predicted = scores.input_refs.get("val.predicted")
    if predicted is None or not store.exists(predicted):
        return []
    config = store.manifest(predicted).config
    look = LookConfig(**{name: config[name] for name in LookConfig.model_fields if name in config})
    words = ["through windows"] if look.windows else []
    words += ["flipped"] if look.flip else []
    return words + (
        ["at scales " + ", ".join(f"{scale:g}" for scale in look.scales)] if look.scales != (1.0,) else []
    )
