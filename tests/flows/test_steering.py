"""`segspade synthesize` as it is asked to paint: what it cannot do is one sentence and status 2."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from handmade import commit, maps, photographs
from typer.testing import CliRunner

from flows.cli import app
from segspade_core.config import GeneratorArchitecture
from segspade_core.spade import SpadeGenerator, StyleEncoder, pack_generator
from storage.arrays import open_split
from storage.refs import ArtifactRef
from storage.store import Store

STEERED = GeneratorArchitecture(
    width=1, max_channels=4, hidden=2, upsamplings=3, style_dim=2, style_width=1,
    times_of_day=("day", "dusk"), condition_dim=2,
)  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (
            ("--style", "median"),
            "error: --style: a style is 'mean', 'sample:SEED' with a whole number",
        ),
        (("--method", "quick"), "error: --method: Input should be 'fast' or 'dense'"),
        (("--precision", "fp16"), "error: --precision: Input should be 'fp32' or 'bf16'"),
    ],
)
def test_what_no_generator_can_do_is_refused_at_once(asked: tuple[str, str], message: str) -> None:
    result = CliRunner().invoke(app, ["synthesize", "a", "b", *asked, "-w", "."])
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


@pytest.mark.prefect
def test_what_this_generator_cannot_do_is_said(
    tmp_path: Path, prefect_api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: an unknown name painted as something else, or told with a stack trace."""
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    workspace = tmp_path / "workspace"
    torch.manual_seed(0)
    content = pack_generator(SpadeGenerator(STEERED), style_encoder=StyleEncoder(STEERED))
    arrays = {"image": photographs(1, 2), "label_ids": maps(2, 2)}
    dataset = commit(workspace, "dataset", splits={"val": arrays})
    generator = commit(
        workspace, "generator", write=lambda folder: _put(folder / "model.safetensors", content)
    )
    command = ("synthesize", str(generator), str(dataset), "-w", str(workspace))
    for asked, message in (
        (
            ("--time-of-day", "night"),
            "time_of_day 'night': this generator was trained on day, dusk; take one",
        ),
        (("--city", "ulm"), "city 'ulm': this generator knows no city; train one with `conditions: [city]`"),
        (
            ("--style", "image:nobody"),
            f"no photograph 'nobody' in {dataset}; there are val000, val001, …",
        ),
    ):
        failed = CliRunner().invoke(app, [*command, *asked])
        assert failed.exit_code == 2
        assert "Traceback" not in failed.stderr
        assert message in " ".join(failed.stderr.split())
    painted = CliRunner().invoke(app, [*command, "--style", "image:val001", "--time-of-day", "dusk"])
    assert painted.exit_code == 0, painted.stderr
    kind, key = painted.stdout.strip().split("/")
    made = Store(workspace).path(ArtifactRef(kind=kind, key=key))
    assert open_split(made / "val.zarr")["image"].shape == (2, 16, 32, 3)


def _put(file: Path, content: bytes) -> None:
    file.write_bytes(content)
