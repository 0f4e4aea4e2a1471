"""A journey so small that it takes seconds: twenty drawn frames, and a generator that never learned."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from chromium import page
from serviced import service, told

from segspade_core.config import RunConfig

__all__ = ["page", "service", "told"]  # fixtures, which are here for all

Segspade = Callable[..., "subprocess.CompletedProcess[str]"]
COMMAND = [sys.executable, "-c", "import sys; from flows.cli import app; sys.argv[0] = 'segspade'; app()"]


@pytest.fixture(autouse=True)
def no_published_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing in torch hub's cache, also not for commands that are started; and nothing is fetched here."""

    def refuse(url: str, *_: object) -> None:
        raise OSError(f"no network in tests: {url}")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("segspade_core.metrics.painting_weights.download", refuse)


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The YAML of the run."""
    import torch

    from segspade_core.config import GeneratorArchitecture
    from segspade_core.spade import SpadeGenerator, pack_generator

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    architecture = GeneratorArchitecture(width=2, max_channels=4, hidden=3, upsamplings=4)
    (folder / "generator.safetensors").write_bytes(pack_generator(SpadeGenerator(architecture)))
    document = {
        "name": "tiny",
        "source": {"kind": "minicity", "city": {"train": 18, "val": 2, "size": "32x64"}},
        "ingest": {"layout": "minicity", "size": "32x64"},
        "segmenter": {
            "encoder": "resnet18",
            "weights": "none",
            "epochs": 2,
            "batch": 6,
            "optimiser": {"lr": 1e-3},
        },
        "generator": {"kind": "import", "weights": str(folder / "generator.safetensors")},
        # tests ask no network
        "score_quality": {"inception": "none", "lpips": "none"},
        "report": {"samples": 2},
        "runtime": {"device": "cpu", "threads": 1, "checkpoint_every_steps": 1},
    }
    (folder / "tiny.yaml").write_text(yaml.safe_dump(document))
    return folder / "tiny.yaml"


@pytest.fixture(scope="session")
def tiny(tiny_file: Path) -> RunConfig:
    return RunConfig.model_validate(yaml.safe_load(tiny_file.read_text()))


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, tiny: RunConfig, prefect_api: str) -> Path:
    """A workspace in which the tiny journey was made, without a break. Copy it to change it."""
    from flows.pipeline import pipeline

    workspace = tmp_path_factory.mktemp("made") / "workspace"
    pipeline(tiny, workspace)
    return workspace


@pytest.fixture
def segspade(tmp_path: Path) -> Segspade:
    """Run `segspade` as a person does, in a folder of its own; `api` is a Prefect server to use."""

    def run(
        *arguments: str | Path, api: str | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(api),
            capture_output=True,
            text=True,
            timeout=120,
            **options,
        )

    return run


def environment(api: str | None) -> dict[str, str]:
    """Of a command: wide enough that no message is broken, and no heartbeat, which costs a second a run."""
    root = str(Path(__file__).parent.parent.parent)
    given = {**os.environ, "COLUMNS": "200", "NO_COLOR": "1", "PYTHONPATH": root}
    if api is not None:
        given["PREFECT_API_URL"] = api
    return given


@pytest.fixture
def started(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start `segspade` and do not wait for it."""

    def start(*arguments: str | Path, api: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*COMMAND, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(api),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture(scope="session")
def command() -> list[str]:
    """What starts `segspade`."""
    return COMMAND


@pytest.fixture(scope="session")
def command_environment() -> dict[str, str]:
    """Of a command that uses the workspace's own server."""
    return environment(None)


def data_digests(workspace: Path) -> dict[str, str]:
    """Path → sha256 of every committed file but the reports, which show seconds."""
    from storage.store import Store

    store = Store(workspace)
    return {
        f"{ref}/{file.path}": file.sha256
        for ref in store.refs()
        if ref.kind != "report"
        for file in store.manifest(ref).files
    }


@pytest.fixture
def digests() -> Callable[[Path], dict[str, str]]:
    return data_digests
