"""Training batches: crops and flips of photograph, labels and edges stay together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segspade_core.config import DiscriminatorArchitecture, GeneratorArchitecture, GeneratorConfig
from segspade_core.errors import InputError
from segspade_core.spade.batches import TrainingData
from segspade_core.spade.semantics import instance_edges

HEIGHT, WIDTH, COUNT = 24, 40, 6
RANDOM = np.random.default_rng(5)
# patches: in noise every pixel would be an edge
LABEL_IDS = RANDOM.integers(4, 34, (COUNT, HEIGHT // 4, WIDTH // 4), dtype=np.uint8).repeat(4, 1).repeat(4, 2)
# the photograph tells its own place: red is the row, green the column, blue the label
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH].astype(np.uint8)
IMAGES = np.stack([np.stack([ROWS, COLUMNS, label_ids], axis=-1) for label_ids in LABEL_IDS])
INSTANCE_IDS = (LABEL_IDS.astype(np.uint16) * 1000) + (COLUMNS // 7)
DATA = TrainingData(IMAGES, LABEL_IDS, INSTANCE_IDS)


def config(crop: tuple[int, int] | None, flip: float = 0.5) -> GeneratorConfig:
    return GeneratorConfig(
        generator=GeneratorArchitecture(width=2, max_channels=4, hidden=2, upsamplings=3),
        discriminator=DiscriminatorArchitecture(width=2, layers=2),
        epochs=40,
        batch=COUNT,
        crop=crop,
        flip=flip,
    )


def pixels(images: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] → (B, H, W, 3) uint8."""
    return ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()


def test_crops_of_photograph_labels_and_edges_show_the_same_place() -> None:
    """Fault: labels are cropped elsewhere than the photograph, or edges are taken of the crop's own rim."""
    whole_edges = instance_edges(torch.from_numpy(INSTANCE_IDS.astype(np.int32)))[:, 0].numpy()
    for epoch in range(5):
        batch = DATA.batch(config((8, 16)), epoch, 0)
        assert batch.images.shape == (COUNT, 3, 8, 16)
        assert batch.edges is not None
        for image, label_ids, edges in zip(
            pixels(batch.images), batch.label_ids.numpy(), batch.edges[:, 0].numpy(), strict=True
        ):
            np.testing.assert_array_equal(image[..., 2], label_ids)
            rows, columns = image[:, 0, 0].astype(int), image[0, :, 1].astype(int)
            assert set(np.diff(rows)) == {1}
            assert set(np.diff(columns)) in ({1}, {-1})
            sources = [n for n in range(COUNT) if (LABEL_IDS[n][np.ix_(rows, columns)] == label_ids).all()]
            assert len(sources) == 1
            np.testing.assert_array_equal(whole_edges[sources[0]][np.ix_(rows, columns)], edges)


def test_crops_reach_every_corner() -> None:
    """Fault: the last row or column can never be chosen."""
    corners = set()
    for epoch in range(40):
        for image in pixels(DATA.batch(config((16, 32), flip=0.0), epoch, 0).images):
            corners.add((int(image[0, 0, 0]), int(image[0, 0, 1])))
    rows, columns = {row for row, _ in corners}, {column for _, column in corners}
    assert rows == set(range(HEIGHT - 16 + 1))
    assert columns == set(range(WIDTH - 32 + 1))


def test_a_whole_frame_is_taken_without_a_crop() -> None:
    """Fault: a config without crop draws one all the same."""
    batch = DATA.batch(config(None, flip=0.0), 0, 0)
    assert {tuple(image[0, 0, :2]) for image in pixels(batch.images)} == {(0, 0)}
    assert batch.images.shape[-2:] == (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("crop", "message"),
    [
        ((32, 32), "generator.crop 32x32 is larger than the photographs, 24x40; make it smaller, or ingest"),
        ((12, 16), "label maps of 12x16 do not suit a generator of 3 upsamplings"),
    ],
)
def test_a_crop_that_cannot_be_is_refused_before_training(crop: tuple[int, int], message: str) -> None:
    """Fault: the loop ends in a stack trace of numpy or torch in its first step."""
    with pytest.raises(InputError, match=message):
        DATA.check(config(crop))
