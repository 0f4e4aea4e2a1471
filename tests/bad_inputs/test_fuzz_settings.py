"""Configs that are anything: a run comes of them, or one clear sentence; never a traceback."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bad_inputs.fuzzing import HANG_S, check_words, looking_for_more
from flows.cli.options import load_run_config
from segspade_core.config import RunConfig
from segspade_core.errors import InputError

CONFIGS = Path(__file__).parent.parent.parent / "configs"
SHIPPED = [path.read_text() for path in sorted(CONFIGS.glob("*.yaml"))]
pytestmark = pytest.mark.timeout(HANG_S)

scalars: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-3, 3),
    st.floats(),
    st.sampled_from([math.nan, math.inf, -math.inf, 10**30, "", "~", "256x512", "-1x-1", "train", "\0"]),
    st.text(max_size=12),
    st.dates(),
    st.binary(max_size=4),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def places_in(document: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every setting of a document, by the keys that lead to it."""
    found = [above] if above else []
    children = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in children:
        place = (*above, key)
        found += places_in(value, place) if isinstance(value, (dict, list)) else [place]
    return found


# settings that the shipped configs leave at their defaults are mutated as well
PLACES = [
    "segmenter.optimiser.betas", "segmenter.optimiser.clip_norm", "segmenter.schedule", "segmenter.loss",
    "segmenter.average", "segmenter.early_stopping", "segmenter.augment.scale", "segmenter.augment.crop",
    "segmenter.seed", "segmenter.num_classes", "segmenter.label_space", "generator.discriminator",
    "generator.betas", "generator.crop", "generator.generator.linear_head", "evaluate.limit",
    "evaluate.look.windows", "evaluate.look.scales", "evaluate.paint.style", "runtime.device",
    "runtime.dask_address", "retrain.decision", "score_quality", "report.samples", "source", "name",
]  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A shipped config with a few settings taken away, put elsewhere, spelled otherwise, or of any value."""
    document = yaml.safe_load(draw(st.sampled_from(SHIPPED)))
    for _ in range(draw(st.integers(1, 4))):
        there = places_in(document)
        place = draw(st.sampled_from([*there, *(tuple(name.split(".")) for name in PLACES)]))
        at = document
        for key in place[:-1]:
            at = at.setdefault(key, {}) if isinstance(at, dict) else {}
            if not isinstance(at, (dict, list)):
                at = {}
        kind = draw(st.sampled_from(["value", "value", "value", "drop", "misspell"]))
        if isinstance(at, list) or kind == "value":
            if isinstance(at, dict):
                at[place[-1]] = draw(values)
            elif at:
                at[min(int(place[-1]), len(at) - 1) if isinstance(place[-1], int) else 0] = draw(values)
        elif kind == "drop":
            at.pop(place[-1], None)
        else:
            at[draw(st.text(max_size=8)) + str(place[-1])[1:]] = at.pop(place[-1], 1)
    return document


def read(content: bytes, folder: Path) -> RunConfig | None:
    """A run, or None where it is refused in an InputError of lines that say something."""
    file = folder / "run.yaml"
    file.write_bytes(content)
    return taken(file)


def taken(file: Path, *settings: str) -> RunConfig | None:
    """As `read`, with what stands after --set."""
    try:
        return load_run_config(file, list(settings))
    except InputError as error:
        check_words(str(error))
        return None


def can_be_kept(config: RunConfig) -> bool:
    """Whether it can go into artifact keys, which hold neither NaN nor what is no JSON."""
    json.dumps(config.model_dump(mode="json"), allow_nan=False)
    return RunConfig.model_validate_json(config.model_dump_json()) == config


@looking_for_more(120)
@given(document=mutated(), form=st.sampled_from(["yaml", "flow", "json"]))
def test_any_setting_of_any_value(document: Any, form: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    if form == "json":
        content = json.dumps(document, default=str).encode()
    else:
        content = yaml.safe_dump(document, default_flow_style=form == "flow", allow_unicode=True).encode()
    config = read(content, tmp_path_factory.getbasetemp())
    assert config is None or can_be_kept(config)


@looking_for_more(150)
@given(data=st.data())
def test_any_letters(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The text itself with pieces cut out, doubled, or with signs that mean something to YAML."""
    content = bytearray(data.draw(st.sampled_from(SHIPPED)).encode())
    signs = [b"\t", b"&a ", b"*a", b"<<: ", b"!!int ", b"!!python/name:os ", b"? ", b"- ", b": ", b"{", b"]"]
    signs += [b"'", b'"', b"|\n", b"%YAML 9.9\n", b"---\n", b"2024-13-45", b".nan", b"1:2:3", b"\xff", b"\0"]
    signs += [
        b"\xef\xbb\xbf",
        b"!!timestamp ",
        b"!!binary ",
        b"!!set ",
        b"!!bool ",
        b"!!omap ",
        b"0x",
        b"\\ud800",
    ]
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(content)))
        to = min(len(content), at + data.draw(st.integers(0, 30)))
        piece = data.draw(st.sampled_from([*signs, bytes(content[at:to]) * 2]) | st.binary(max_size=6))
        content[at:to] = piece
    config = read(bytes(content), tmp_path_factory.getbasetemp())
    assert config is None or can_be_kept(config)


@looking_for_more(60)
@given(content=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    config = read(content, tmp_path_factory.getbasetemp())
    assert config is None or can_be_kept(config)


@looking_for_more(80)
@given(
    key=st.sampled_from([*PLACES, "segmenter.epochs", "a.b", ".", ""]) | st.text(max_size=10), data=st.data()
)
def test_any_setting_typed(key: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """After --set."""
    value = data.draw(st.text(max_size=20) | values.map(lambda value: yaml.safe_dump(value).strip()))
    config = taken(CONFIGS / "minicity.yaml", f"{key}={value}")
    assert config is None or can_be_kept(config)
