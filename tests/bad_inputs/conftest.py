"""The ingest alone, with nothing around it."""

from __future__ import annotations

import tempfile
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
