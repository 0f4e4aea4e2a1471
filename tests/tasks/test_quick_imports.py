"""Garbage is collected again once the imports are done."""

from __future__ import annotations

import gc

import pytest

from tasks.quick_imports import no_garbage


def test_garbage_is_collected_again_also_when_an_import_fails() -> None:
    """Fault: a page that stays open for days never frees a cycle."""
    assert gc.isenabled()
    with no_garbage():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(ModuleNotFoundError), no_garbage():
        raise ModuleNotFoundError
    assert gc.isenabled()


def test_who_collects_none_is_left_alone() -> None:
    """Fault: a caller that turned collection off gets it back turned on."""
    gc.disable()
    try:
        with no_garbage():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
