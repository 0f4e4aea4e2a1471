"""Painting a split as it is asked for: whose style, whose city, whose time of day."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from handmade import commit, maps, photographs, predictions

from segspade_core.config import GeneratorArchitecture, GeneratorConfig, PaintConfig, SynthesizeConfig
from segspade_core.errors import InputError
from segspade_core.spade import Painter, StyleEncoder, pack_generator
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.painting import to_uint8
from segspade_core.spade.semantics import one_hot_semantics
from segspade_core.spade.style import draw_style
from storage.arrays import open_split
from storage.refs import ArtifactRef
from tasks.splits import names_of, photograph_of
from tasks.stage import making
from tasks.synthesizing import check_paint, plan_synthesize, synthesize

COUNT = 18  # more than a shard
# handmade: all are of city a; every third at dusk, the others by day, and of the last nobody knows
OWN = [0] * COUNT, [int(row % 3 == 0) for row in range(COUNT - 1)] + [-1]
STEERED = GeneratorArchitecture(
    width=2, max_channels=8, hidden=3, upsamplings=3, instance_edges=False, style_dim=3, style_width=1,
    cities=("a", "b"), times_of_day=("day", "dusk"), condition_dim=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def models() -> tuple[SpadeGenerator, StyleEncoder]:
    torch.manual_seed(0)
    generator, encoder = SpadeGenerator(STEERED), StyleEncoder(STEERED)
    semantics = one_hot_semantics(torch.from_numpy(maps(2, 4)), None, 35)
    with torch.no_grad():
        for _ in range(20):  # statistics as training leaves them
            generator(semantics, torch.randn(4, 7))
    return generator.eval(), encoder.eval()


@pytest.fixture
def generator(workspace: Path, models: tuple[SpadeGenerator, StyleEncoder]) -> ArtifactRef:
    content = pack_generator(models[0], style_encoder=models[1])
    return commit(workspace, "generator", write=lambda folder: _put(folder / "model.safetensors", content))


@pytest.fixture
def dataset(workspace: Path) -> ArtifactRef:
    train = {"image": photographs(1, COUNT), "label_ids": maps(2, COUNT)}
    return commit(workspace, "dataset", splits={"train": train, "val": {"image": photographs(3, 2)}})


def _put(file: Path, content: bytes) -> None:
    file.write_bytes(content)


def paint(workspace: Path, generator: ArtifactRef, label_maps: ArtifactRef, **asked: object) -> np.ndarray:
    config = SynthesizeConfig(split="train", method="dense", **asked)
    plan = plan_synthesize(workspace, generator, label_maps, config)
    with making(plan):
        about = synthesize(plan)
        assert about == {"counts": {"train": COUNT}, "device": "cpu"}
        return np.asarray(open_split(plan.staging / "train.zarr")["image"][:])


def expected(
    model: SpadeGenerator, label_ids: np.ndarray, style: torch.Tensor, cities: list[int], times: list[int]
) -> np.ndarray:
    """(N, H, W, 3) float64: each map by the network as it stands."""
    book, pictures = model.code_book, []
    for ids, city, time in zip(label_ids, cities, times, strict=True):
        tables = [
            torch.cat([each.weight, each.weight.mean(0)[None]]) for each in (book.city, book.time_of_day)
        ]
        code = torch.cat([style, tables[0][city], tables[1][time]])[None]
        with torch.no_grad():
            painted = model(one_hot_semantics(torch.from_numpy(ids)[None], None, 35), code)
        pictures.append(to_uint8(painted)[0].permute(1, 2, 0).double().numpy())
    return np.stack(pictures)


@pytest.mark.usefixtures("parts_run_here")
def test_style_and_conditions_reach_the_pictures(
    workspace: Path, dataset: ArtifactRef, generator: ArtifactRef, models: tuple[SpadeGenerator, StyleEncoder]
) -> None:
    """Fault: a style that is not handed on; conditions of another frame; a name that is not there counted."""
    model, encoder = models
    label_ids, mean = maps(2, COUNT), torch.zeros(3)
    photograph = torch.from_numpy(photographs(3, 2)[1] / 127.5 - 1).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        of_photograph = encoder(photograph)[0][0]
    cases: list[tuple[dict[str, str], torch.Tensor, list[int], list[int]]] = [
        ({}, mean, *OWN),
        ({"city": "b"}, mean, [1] * COUNT, OWN[1]),
        ({"time_of_day": "day"}, mean, OWN[0], [0] * COUNT),
        ({"style": "sample:7"}, draw_style(7, 3)[0], *OWN),
        ({"style": "image:val001"}, of_photograph, *OWN),
    ]
    seen = set()
    for asked, style, cities, times in cases:
        images = paint(workspace, generator, dataset, **asked)
        difference = np.abs(images - expected(model, label_ids, style, cities, times))
        assert difference.max() <= 1, asked
        assert (difference > 0).mean() < 0.01, asked
        seen.add(images.tobytes())
    assert len(seen) == len(cases)


@pytest.mark.usefixtures("parts_run_here")
def test_predicted_maps_are_painted_in_the_style_of_their_dataset(
    workspace: Path, dataset: ArtifactRef, generator: ArtifactRef, models: tuple[SpadeGenerator, StyleEncoder]
) -> None:
    """Fault: the photograph is looked for in the label maps alone."""
    arrays = {"label_ids": predictions(5, COUNT)}
    predicted = commit(workspace, "label_maps", splits={"train": arrays}, images=dataset)
    images = paint(workspace, generator, predicted, style="image:train002")
    photograph = torch.from_numpy(photographs(1, COUNT)[2] / 127.5 - 1).float().permute(2, 0, 1)[None]
    with torch.no_grad():
        style = models[1](photograph)[0][0]
    wanted = expected(models[0], arrays["label_ids"], style, *OWN)
    assert np.abs(images - wanted).max() <= 1


@pytest.mark.usefixtures("parts_run_here")
@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"city": "ulm"}, "city 'ulm': this generator was trained on a, b; take one of them"),
        (
            {"style": "image:val007"},
            "no photograph 'val007' in {dataset}; there are train000, train001, train002, …",
        ),
    ],
)
def test_what_cannot_be_painted_is_refused_before_any_work(
    workspace: Path, dataset: ArtifactRef, generator: ArtifactRef, asked: dict[str, str], message: str
) -> None:
    config = SynthesizeConfig(split="train", **asked)
    plan = plan_synthesize(workspace, generator, dataset, config)
    with making(plan), pytest.raises(InputError, match=f"^{re.escape(message.format(dataset=dataset))}$"):
        synthesize(plan)
    assert not (plan.staging / "train.zarr").exists()


def test_what_is_asked_for_enters_the_key(
    workspace: Path, dataset: ArtifactRef, generator: ArtifactRef
) -> None:
    """Fault: a night painted for who asks for the day."""
    asked = [{}, {"style": "sample:1"}, {"style": "sample:2"}, {"city": "b"}, {"time_of_day": "day"}]
    keys = [
        plan_synthesize(workspace, generator, dataset, SynthesizeConfig(split="train", **each)).key
        for each in asked
    ]
    assert len(set(keys)) == len(asked)


def test_names_of_a_column() -> None:
    """Fault: 'nan' or 'None' as the name of a city."""
    assert names_of(pd.Series(["ulm", None, float("nan"), pd.NA, "bonn"])) == [
        "ulm",
        None,
        None,
        None,
        "bonn",
    ]
    assert names_of(pd.Series([], dtype=object)) == []


def test_a_photograph_is_found_by_its_id_in_any_split(workspace: Path, dataset: ArtifactRef) -> None:
    """Fault: the row of another split, or of another sample."""
    np.testing.assert_array_equal(photograph_of(workspace, dataset, "val001"), photographs(3, 2)[1])
    np.testing.assert_array_equal(photograph_of(workspace, dataset, "train000"), photographs(1, COUNT)[0])
    alone = commit(workspace, "label_maps", splits={"train": {"label_ids": predictions(5, COUNT)}})
    with pytest.raises(InputError, match=rf"^no photograph 'x' in what {alone} was made from$"):
        photograph_of(workspace, alone, "x")


def test_fast_and_dense_paint_the_same(models: tuple[SpadeGenerator, StyleEncoder]) -> None:
    label_ids, code = maps(2, 1)[0], torch.randn(7)
    fast, dense = (
        Painter(models[0], method=method).paint(label_ids, None, code).astype(int)
        for method in ("fast", "dense")
    )
    assert np.abs(fast - dense).max() <= 1
    assert (fast != dense).mean() < 0.01


def generator_config(**settings: Any) -> GeneratorConfig:
    return GeneratorConfig.model_validate({"generator": {"style_dim": 4}, **settings})


def test_what_a_generator_will_not_know_is_said_before_it_is_trained(
    workspace: Path, dataset: ArtifactRef, generator: ArtifactRef
) -> None:
    """Fault: days of training, and then an error about the painting; another dataset's cities looked at."""
    knows = generator_config(conditions=["city"])
    for model in (knows, generator):
        check_paint(workspace, dataset, model, PaintConfig(city="a"))
        with pytest.raises(InputError, match=r"^city 'ulm': this generator was trained on a(, b)?; take one"):
            check_paint(workspace, dataset, model, PaintConfig(city="ulm"))
    with pytest.raises(InputError, match=r"^time_of_day 'day': this generator knows no time_of_day; train"):
        check_paint(workspace, dataset, knows, PaintConfig(time_of_day="day"))
    check_paint(workspace, dataset, knows, PaintConfig(style="image:val001"))
    with pytest.raises(InputError, match=rf"^no photograph 'x' in {dataset}; there are train000, "):
        check_paint(workspace, dataset, knows, PaintConfig(style="image:x"))
    with pytest.raises(InputError, match=r"^style 'sample:1': this generator knows no styles"):
        check_paint(workspace, dataset, GeneratorConfig(), PaintConfig(style="sample:1"))
    check_paint(workspace, dataset, GeneratorConfig(), PaintConfig())
