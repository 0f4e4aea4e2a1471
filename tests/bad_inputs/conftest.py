"""The ingest alone, with nothing around it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import run_parts_here


@pytest.fixture
def plain_ingest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No Prefect and no waiting for the disk; temporary files would lie where they can be seen."""
    monkeypatch.setattr("tasks.ingesting.map_parts", run_parts_here)
    monkeypatch.setattr("os.fsync", lambda _descriptor: None)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))


@pytest.fixture(scope="module")
def plain_ingest_all() -> Iterator[None]:
    """The same for all the examples of a test: hypothesis runs them within one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.ingesting.map_parts", run_parts_here)
        patch.setattr("os.fsync", lambda _descriptor: None)
        yield
