"""Downloads: into torch hub's cache, whole or not at all, and in a time that has an end."""

from __future__ import annotations

import hashlib
import io
import itertools
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
import torch

from segspade_core.training.download import download, hub_path, named_digest

URL = "https://a.invalid/files/net-0123abcd.pth"


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> bytes:
    content = b"weights" * 1000
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(content))
    return content


@pytest.mark.parametrize(
    "set_up", [{"TORCH_HOME": "/t"}, {"XDG_CACHE_HOME": "/x"}, {"TORCH_HOME": "~/t"}, {}], ids=str
)
def test_the_cache_is_where_torch_has_it(monkeypatch: pytest.MonkeyPatch, set_up: dict[str, str]) -> None:
    """Peer: torch itself, which is not asked, as its import takes a second."""
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in set_up.items():
        monkeypatch.setenv(name, value)
    assert hub_path(URL) == Path(torch.hub.get_dir()) / "checkpoints" / "net-0123abcd.pth"


def test_names_end_in_a_digest() -> None:
    assert named_digest("resnet18-f37072fd.pth") == "f37072fd"
    assert named_digest("weights-inception-2015-12-05-6726825d.pth") == "6726825d"


def test_the_file_that_was_asked_for_arrives(answer: bytes, tmp_path: Path) -> None:
    path = tmp_path / "new" / "net.pth"
    download(URL, path, hashlib.sha256(answer).hexdigest()[:8])
    assert path.read_bytes() == answer
    assert list(path.parent.iterdir()) == [path]


def test_another_file_is_not_kept(answer: bytes, tmp_path: Path) -> None:
    """Fault: the page of a hotel's network, kept for ever as the weights."""
    with pytest.raises(OSError, match="the answer is another file: its sha256 does not start with 0123abcd"):
        download(URL, tmp_path / "net.pth", "0123abcd")
    assert not list(tmp_path.iterdir())


def test_an_answer_that_breaks_off_is_an_error_like_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: IncompleteRead, which is no OSError, passes whoever would go on without the file."""

    class Broken(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            raise IncompleteRead(b"half")

    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: Broken())
    with pytest.raises(OSError, match=r"the answer broke off \(IncompleteRead"):
        download(URL, tmp_path / "net.pth")
    assert not list(tmp_path.iterdir())


def test_a_slow_network_has_an_end(answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a byte now and then, so that no single answer is late, and the run waits for days."""
    ticks: Any = itertools.count(0, 40)
    monkeypatch.setattr("segspade_core.training.download.time.monotonic", lambda: float(next(ticks)))
    with pytest.raises(TimeoutError, match="not finished after 30 s"):
        download(URL, tmp_path / "net.pth", limit_s=30)
    assert not list(tmp_path.iterdir())
