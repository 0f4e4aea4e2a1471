"""Which weights a setting means: named, in the cache, fetched, or none."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from urllib.error import URLError

import pytest

from segspade_core.errors import InputError, WeightsError
from segspade_core.metrics.painting_names import ALEXNET, INCEPTION, Network
from segspade_core.metrics.painting_weights import find_weights, is_published

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
NETWORK = Network(
    "Net",
    "inception",
    f"https://a.invalid/net-{DIGEST[:8]}.pth",
    (f"net-{DIGEST[:8]}.pth", f"n-{DIGEST[:8]}.pth"),
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch hub's cache, empty, and no network."""

    def refuse(url: str, timeout: float) -> None:
        assert timeout <= 5
        raise URLError("no route")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


@pytest.mark.parametrize("name", NETWORK.files)
def test_auto_takes_the_file_of_the_cache_under_each_of_its_names(cache: Path, name: str) -> None:
    (cache / name).write_bytes(CONTENT)
    found = find_weights("auto", NETWORK, fetch=False)
    assert found is not None
    assert (found.path, found.sha256) == (cache / name, DIGEST)


def test_auto_without_cache_and_network_is_none(cache: Path) -> None:
    assert find_weights("auto", NETWORK, fetch=True, tell=lambda _: pytest.fail("told of nothing")) is None
    assert not list(cache.iterdir())


def test_auto_fetches_only_where_it_may(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(url: str, timeout: float) -> io.BytesIO:
        asked.append(url)
        return io.BytesIO(CONTENT)

    monkeypatch.setattr("urllib.request.urlopen", answer)
    assert find_weights("none", NETWORK, fetch=True) is None
    assert find_weights("auto", NETWORK, fetch=False) is None
    assert asked == []
    told: list[str] = []
    found = find_weights("auto", NETWORK, fetch=True, tell=told.append)
    assert found is not None
    assert found.path == cache / NETWORK.files[0]
    assert told == [f"fetching {NETWORK.url}, once, to {cache}"]
    assert find_weights("auto", NETWORK, fetch=True) == found
    assert asked == [NETWORK.url]


def test_another_answer_of_the_network_is_not_taken(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(b"<html>log in</html>"))
    assert find_weights("auto", NETWORK, fetch=True) is None
    assert not list(cache.iterdir())


def test_a_damaged_file_in_the_cache_is_told(cache: Path) -> None:
    """Fault: a score by half a network, or left out in silence although the file seems to be there."""
    (cache / NETWORK.files[0]).write_bytes(CONTENT[:-1])
    with pytest.raises(
        WeightsError, match=r"net-\w+\.pth: damaged, or another file of this name: .* remove it"
    ):
        find_weights("auto", NETWORK, fetch=True)


def test_a_named_file_may_be_any_and_must_be_there(tmp_path: Path) -> None:
    other = tmp_path / "other.pth"
    with pytest.raises(
        InputError, match=r"other\.pth: no such file; score_quality\.inception is 'auto', 'none'"
    ):
        find_weights(str(other), NETWORK, fetch=True)
    other.write_bytes(b"mine")
    found = find_weights(str(other), NETWORK, fetch=True)
    assert found is not None
    assert not is_published(found.sha256, NETWORK)
    assert is_published(DIGEST, NETWORK)


def test_the_published_names_agree_on_the_digest() -> None:
    for network in (INCEPTION, ALEXNET):
        ends = {name.rpartition("-")[2] for name in (*network.files, network.url)}
        assert len(ends) == 1, network.name
