"""Failures of a stage that are neither the user's input nor a fault of the code. Imports nothing heavy."""

from __future__ import annotations

from segspade_core.errors import InputError, TrainingDiverged
from storage.errors import DiskFull


class TrainingEnded(RuntimeError):
    """The training process ended before it was done; the message says how, and how to go on."""


def failure_of(kind: str, message: str) -> Exception:
    """What a training process told of its end, as an exception of the same kind."""
    kinds: dict[str, type[Exception]] = {
        "InputError": InputError,
        "TrainingDiverged": TrainingDiverged,
        "DiskFull": DiskFull,
    }
    return kinds.get(kind, TrainingEnded)(message)
