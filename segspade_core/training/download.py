"""Files of weights from the network into torch hub's cache: never half a file, and never for ever.

Free of torch: whoever only asks what lies in the cache need not wait for it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import IO

# of every single answer of the server, not of the whole download; without it a dead network hangs for ever
TIMEOUT_S = 20.0
_CHUNK = 1 << 20


def hub_path(url: str) -> Path:
    """Where torch hub keeps what it fetched from `url` (`torch.hub.get_dir()` without torch)."""
    cache = os.getenv("XDG_CACHE_HOME", "~/.cache")
    home = os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(cache, "torch")))
    return Path(home) / "hub" / "checkpoints" / url.rpartition("/")[2]


def named_digest(name: str) -> str:
    """The first eight digits of the sha256, which torchvision's names end in: 'resnet18-f37072fd.pth'."""
    return name.rpartition("-")[2].partition(".")[0]


def download(
    url: str,
    path: Path,
    digest: str = "",
    timeout_s: float = TIMEOUT_S,
    limit_s: float | None = None,
    on_answer: Callable[[], None] | None = None,
) -> None:
    """Fetch to a file beside `path` and rename, so that no half a file is ever taken for the whole.

    Args:
        digest: the first digits of the sha256 that the file must have; '' takes any file.
        timeout_s: of every single answer.
        limit_s: of the whole.
        on_answer: called once the server has answered, and before what may take long.

    Raises:
        OSError: no network, no room, too slow, or another file than the one that was asked for. Nothing is
            left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(url, timeout=timeout_s) as answer, _beside(path) as file:
        if on_answer is not None:
            on_answer()
        began, content = time.monotonic(), hashlib.sha256()
        while chunk := _read(answer):
            if limit_s is not None and time.monotonic() - began > limit_s:
                raise TimeoutError(f"not finished after {limit_s:.0f} s")
            content.update(chunk)
            file.write(chunk)
        if not content.hexdigest().startswith(digest):
            raise OSError(f"the answer is another file: its sha256 does not start with {digest}")


def _read(answer: IO[bytes]) -> bytes:
    try:
        return answer.read(_CHUNK)
    except HTTPException as error:  # such as IncompleteRead, which is no OSError
        raise OSError(f"the answer broke off ({error!r})") from error


@contextmanager
def _beside(path: Path) -> Iterator[IO[bytes]]:
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            yield file
        except BaseException:
            os.unlink(file.name)
            raise
    os.replace(file.name, path)
