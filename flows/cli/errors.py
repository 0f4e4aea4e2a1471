"""What goes wrong becomes a message and an exit status: 2 the user's input, 3 damaged artifacts, 1 ours."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.traceback import Traceback

from flows.cli.validation import validation_message
from flows.server import ServerFailed
from segspade_core.errors import InputError, TrainingDiverged, printable
from storage.errors import DamagedArtifact, StorageError
from storage.space import FULL, full_message
from tasks.failures import TrainingEnded

# what no program can mend: no permission, a disk that can only be read or not even that, long names
_MACHINE = (
    *(errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.EIO, errno.ESTALE, errno.EMFILE, errno.ENFILE, errno.ENAMETOOLONG),
)


@contextmanager
def reporting_errors(goes_on: bool = True) -> Iterator[None]:
    """Print the message of a known kind of failure without a traceback, and exit with its status.

    Args:
        goes_on: a command that is stopped and run again begins where it was stopped.
    """
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
    except (TrainingDiverged, TrainingEnded, ServerFailed) as error:
        _fail(console, str(error), 1)
    except ModuleNotFoundError as error:
        _fail_import(console, error)
    except KeyboardInterrupt:
        again = "; run the same again to go on from here" if goes_on else "; nothing was kept"
        console.print(f"stopped{again}", style="yellow")
        raise typer.Exit(130) from None
    except (typer.Exit, SystemExit):
        raise
    except OSError as error:
        if error.errno in FULL:
            _fail(console, full_message(error.filename, error), 2)
        if error.errno not in _MACHINE:
            _fail_unknown(console, error)
        _fail(console, f"{error.filename or 'the disk'}: {error.strerror}; mend that and run it again", 2)
    except Exception as error:
        # httpx's, known by its name: to import it would be felt by commands that ask no server
        if any(kind.__name__ == "TransportError" for kind in type(error).__mro__):
            away = f"the Prefect server went away ({type(error).__name__})"
            _fail(console, f"{away}; start it, and run the same again to go on", 1)
        _fail_unknown(console, error)


def _fail_import(console: Console, error: ModuleNotFoundError) -> NoReturn:
    """Something that the project needs is not installed; a module of our own that is missing is our fault."""
    package = str(error.name).partition(".")[0]
    if package in ("flows", "tasks", "storage", "segspade_core"):
        _fail_unknown(console, error)
    _fail(console, f"{package} is not installed; `segspade doctor` shows what is missing", 1)


def _fail_unknown(console: Console, error: Exception) -> NoReturn:
    if os.environ.get("SEGSPADE_DEBUG"):
        raise error
    console.print(
        Traceback.from_exception(type(error), error, error.__traceback__, max_frames=12), soft_wrap=False
    )
    _fail(
        console,
        f"{type(error).__name__}: this is a fault of SegSPADE's; please report it with the lines above",
        1,
    )


def _fail(console: Console, message: str, status: int) -> NoReturn:
    # names of files may hold anything, also what is no Unicode or speaks to the terminal
    shown = "\n".join(map(printable, message.split("\n")))
    console.print("error:", shown, style="red", highlight=False, markup=False)
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
