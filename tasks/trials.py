"""Short trainings on a dataset that make no artifact. Need no Prefect."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from segspade_core.config import RuntimeConfig, SegmenterConfig
from storage.refs import ArtifactRef
from tasks.inputs import segmenter_weights
from tasks.progress import Bar, progress
from tasks.splits import open_input

if TYPE_CHECKING:
    from segspade_core.segmentation.trials import Memorised, RateRange


def try_rates(
    workspace: Path, dataset: ArtifactRef, config: SegmenterConfig, runtime: RuntimeConfig, steps: int
) -> RateRange:
    """As `segmentation.trials.try_rates`, on the train split of a dataset."""
    from segspade_core.segmentation import trials  # here: it takes seconds to import

    with progress("find-lr", steps, "step") as bar:
        return trials.try_rates(**_arguments(workspace, dataset, config, runtime, bar), steps=steps)


def memorise(
    workspace: Path, dataset: ArtifactRef, config: SegmenterConfig, runtime: RuntimeConfig, steps: int
) -> Memorised:
    """As `segmentation.trials.memorise`, on the train split of a dataset."""
    from segspade_core.segmentation import trials

    with progress("sanity", steps, "step") as bar:
        return trials.memorise(**_arguments(workspace, dataset, config, runtime, bar), steps=steps)


def _arguments(
    workspace: Path, dataset: ArtifactRef, config: SegmenterConfig, runtime: RuntimeConfig, bar: Bar
) -> dict[str, Any]:
    from segspade_core.training.device import pick_device

    segmenter_weights(config.weights)  # a file that is not there is told before anything else
    arrays = open_input(workspace, dataset, "train", "label_ids")
    return {
        "config": config,
        "images": arrays["image"],
        "label_ids": arrays["label_ids"],
        "device": pick_device(runtime.device),
        "told": lambda done, _steps, values: bar.move_to(done, values),
    }
