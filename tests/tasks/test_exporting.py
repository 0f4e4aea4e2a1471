"""What is taken out of the store is what is in it, pixel for pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from handmade import commit, maps, photographs, predictions
from PIL import Image

from segspade_core.errors import InputError
from segspade_core.figures.panels import overlay
from segspade_core.labels import colours_to_ids, ids_to_colours
from storage.refs import ArtifactRef
from tasks.exporting import export_artifact

COUNT = 18  # more than a shard and more than a batch


@pytest.fixture
def dataset(workspace: Path) -> ArtifactRef:
    instances = maps(2, COUNT).astype(np.uint16) * 1000
    arrays = {"image": photographs(1, COUNT), "label_ids": maps(2, COUNT), "instance_ids": instances}
    return commit(workspace, "dataset", splits={"train": arrays, "val": {"image": photographs(3, 2)}})


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def test_every_array_of_a_dataset_comes_out(workspace: Path, dataset: ArtifactRef, tmp_path: Path) -> None:
    """Fault: a batch is written under the names of another, or 16-bit instance ids lose their upper half."""
    count = export_artifact(workspace, dataset, tmp_path / "out", ["train"])
    assert count == COUNT * 5
    assert not (tmp_path / "out" / "val").exists()
    photos, labels = photographs(1, COUNT), maps(2, COUNT)
    for row in (0, 15, 16, COUNT - 1):
        folder, name = tmp_path / "out" / "train", f"train{row:03}.png"
        np.testing.assert_array_equal(pixels(folder / "image" / name), photos[row])
        np.testing.assert_array_equal(pixels(folder / "label_ids" / name), labels[row])
        np.testing.assert_array_equal(pixels(folder / "colour" / name), ids_to_colours(labels[row]))
        np.testing.assert_array_equal(pixels(folder / "overlay" / name), overlay(photos[row], labels[row]))
        instances = pixels(folder / "instance_ids" / name)
        np.testing.assert_array_equal(instances, labels[row].astype(np.uint16) * 1000)


def test_predictions_lie_over_the_photographs_they_were_read_from(
    workspace: Path, dataset: ArtifactRef, tmp_path: Path
) -> None:
    """Fault: no overlay where the photographs are another artifact's, or over another photograph."""
    arrays = {"label_ids": predictions(5, COUNT), "confidence": predictions(6, COUNT)}
    predicted = commit(workspace, "label_maps", splits={"train": arrays}, images=dataset)
    assert export_artifact(workspace, predicted, tmp_path) == COUNT * 4
    np.testing.assert_array_equal(pixels(tmp_path / "train/confidence/train016.png"), predictions(6, 17)[16])
    photo, label_ids = photographs(1, COUNT)[17], arrays["label_ids"][17]
    np.testing.assert_array_equal(pixels(tmp_path / "train/overlay/train017.png"), overlay(photo, label_ids))
    np.testing.assert_array_equal(colours_to_ids(pixels(tmp_path / "train/colour/train017.png")), label_ids)


def test_a_split_that_is_not_there_is_refused(workspace: Path, dataset: ArtifactRef, tmp_path: Path) -> None:
    """Fault: a misspelt split exports nothing and says nothing."""
    with pytest.raises(InputError, match=r"has no split vall; it has train, val"):
        export_artifact(workspace, dataset, tmp_path / "out", ["vall"])
    assert not (tmp_path / "out").exists()
