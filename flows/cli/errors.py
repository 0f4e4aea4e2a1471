"""What goes wrong becomes a message and an exit status: 2 the user's input, 3 damaged artifacts, 1 ours."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from pydantic import ValidationError
from rich.console import Console

from flows.cli.options import validation_message
from segspade_core.errors import InputError, TrainingDiverged
from storage.errors import DamagedArtifact, StorageError


@contextmanager
def reporting_errors() -> Iterator[None]:
    """Print the message of a known kind of failure without a traceback, and exit with its status."""
    console = Console(stderr=True, soft_wrap=True)
    try:
        with _sigterm_as_interrupt():
            yield
    except DamagedArtifact as error:
        _fail(console, str(error), 3)
    except ValidationError as error:
        _fail(console, validation_message(error, "settings"), 2)
    except (InputError, StorageError) as error:
        _fail(console, str(error), 2)
    except TrainingDiverged as error:
        _fail(console, str(error), 1)
    except KeyboardInterrupt:
        console.print("stopped; run the same again to go on from here", style="yellow")
        raise typer.Exit(130) from None
    except (typer.Exit, SystemExit):
        raise
    except Exception as error:
        if os.environ.get("SEGSPADE_DEBUG"):
            raise
        console.print_exception(max_frames=12)
        _fail(
            console,
            f"{type(error).__name__}: this is a fault of SegSPADE's; please report it with the lines above",
            1,
        )


def _fail(console: Console, message: str, status: int) -> None:
    console.print("error:", message, style="red", highlight=False, markup=False)
    raise typer.Exit(status) from None


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """A scheduler ends a job with SIGTERM: clean up after it as after Ctrl-C."""

    def interrupt(_signal: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
