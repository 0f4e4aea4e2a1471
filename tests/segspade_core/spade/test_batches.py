"""Training batches: crops and flips of photograph, labels and edges stay together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from segspade_core.config import GeneratorArchitecture, GeneratorConfig, PatchArchitecture
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
        discriminator=PatchArchitecture(width=2, layers=2),
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
    whole_edges = instance_edges(torch.from_numpy(INSTANCE_IDS.astype(np.int32))).numpy()
    for epoch in range(5):
        batch = DATA.batch(config((8, 16)), epoch, 0)
        assert batch.images.shape == (COUNT, 3, 8, 16)
        assert batch.edges is not None
        for image, label_ids, edges in zip(
            pixels(batch.images), batch.label_ids.numpy(), batch.edges.numpy(), strict=True
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


CONDITIONS = {
    "city": ["ulm", None, "bonn", "ulm", "jena", "ulm"],
    "time_of_day": ["night", "day", None, "day", "day", ""],
}


def test_names_come_from_the_data_and_belong_to_their_samples() -> None:
    """Fault: an order of names that changes, another sample's condition, unknown ones counted as known."""
    data = TrainingData(IMAGES, LABEL_IDS, INSTANCE_IDS, CONDITIONS)
    named = data.named(config(None).model_copy(update={"conditions": ("city", "time_of_day")}))
    assert named.generator.cities == ("bonn", "jena", "ulm")
    assert named.generator.times_of_day == ("day", "night")
    batch = data.samples(named, 0, [4, 1, 0, 2, 5])
    assert batch.conditions["city"].tolist() == [1, -1, 2, 0, 2]
    assert batch.conditions["time_of_day"].tolist() == [0, 0, 1, -1, -1]
    only = data.named(config(None).model_copy(update={"conditions": ("time_of_day",)}))
    assert set(data.samples(only, 0, [0]).conditions) == {"time_of_day"}
    assert not data.samples(data.named(config(None)), 0, [0]).conditions


def test_a_condition_that_the_data_lacks_is_refused() -> None:
    asked = config(None).model_copy(update={"conditions": ("city",)})
    for known in ({}, {"city": [None] * COUNT}):
        with pytest.raises(
            InputError, match=r"^conditions: the dataset knows no city of its samples; leave 'city' out$"
        ):
            TrainingData(IMAGES, LABEL_IDS, None, known).named(asked)
    with pytest.raises(ValidationError, match=r"filled in from the dataset: leave them out, and say"):
        GeneratorConfig(generator=GeneratorArchitecture(cities=("ulm",)))


def test_seeds_are_of_the_sample_and_the_epoch() -> None:
    """Fault: a sample is augmented by what came before it, or the same in every epoch."""
    first, second = DATA.samples(config(None), 0, [3, 1]), DATA.samples(config(None), 0, [1, 0])
    assert first.seeds[1] == second.seeds[0]
    assert len({*first.seeds, *second.seeds, *DATA.samples(config(None), 1, [0, 1, 3]).seeds}) == 6


def test_shares_make_up_the_joined_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: processes get the same samples, or shares of another size."""
    asked = config(None).model_copy(update={"batch": 4})
    joined = [DATA.batch(asked, 0, step) for step in (0, 1)]
    monkeypatch.setattr("segspade_core.spade.batches.processes", lambda: 2)
    for step in (0, 1):
        shares = []
        for rank in (0, 1):
            monkeypatch.setattr("segspade_core.spade.batches.rank", lambda rank=rank: rank)
            shares.append(DATA.batch(asked, 0, step))
        assert len(shares[0].images) == len(shares[1].images)
        assert torch.equal(torch.cat([share.images for share in shares]), joined[step].images)
        assert shares[0].seeds + shares[1].seeds == joined[step].seeds
    monkeypatch.setattr("segspade_core.training.distributed.processes", lambda: 3)
    with pytest.raises(
        InputError, match=r"^a batch of 4 cannot be shared alike by 3 processes; make `batch`"
    ):
        DATA.check(asked)
