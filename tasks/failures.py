"""Failures of a stage that are neither the user's input nor a fault of the code. Imports nothing heavy."""

from __future__ import annotations


class TrainingEnded(RuntimeError):
    """The training process ended before it was done; the message says how, and how to go on."""
