"""A flow run that a worker started ends with the worker, however that ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from typing import Any

from rich.console import Console

_PR_SET_PDEATHSIG = 1


def die_with_worker(_flow: Any, _run: Any, _state: Any) -> None:
    """Hook for flows that begin to run: get SIGTERM when the worker's process dies, also by SIGKILL.

    Prefect makes an exception of SIGTERM, so that a training process is stopped behind a checkpoint and the
    run is reported as crashed. Runs that a person started at a terminal end with the terminal, as ever.
    """
    if sys.platform != "linux" or "PREFECT__FLOW_RUN_ID" not in os.environ:
        return
    # its pipes die with the worker: rich, which Prefect's log goes through, would exit at the next line,
    # before the signal can stop a training behind a checkpoint
    Console.on_broken_pipe = _go_on  # type: ignore[method-assign]
    parent = os.getppid()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # it died this moment
        os.kill(os.getpid(), signal.SIGTERM)


def _go_on(_console: Console) -> None:
    """Nobody reads any more; the log is kept by the server."""
