"""Which file of weights a setting means on this machine: named, from torch hub's cache, or fetched.

Free of torch: it is asked when a run is planned, also when nothing is left to make.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from segspade_core.errors import InputError, WeightsError
from segspade_core.metrics.painting_names import Network
from segspade_core.training.download import download, hub_path, named_digest

# where there is no network, this must not be felt; where there is one, 91 MB take a while
_TIMEOUT_S, _LIMIT_S = 5.0, 600.0


@dataclass(frozen=True)
class WeightsFile:
    """A file that is there, and its digest."""

    path: Path
    sha256: str


def named_file(setting: str, network: Network) -> Path | None:
    """The file that a setting names; None for 'auto' and 'none'.

    Raises:
        InputError: it is not there.
    """
    if setting in ("auto", "none"):
        return None
    path = Path(setting).expanduser()
    if not path.is_file():
        raise InputError(
            f"{setting}: no such file; score_quality.{network.setting} is 'auto', 'none' or a file of "
            f"{network.name}'s weights, as at {network.url}"
        )
    return path


def find_weights(
    setting: str, network: Network, fetch: bool, tell: Callable[[str], None] = lambda _: None
) -> WeightsFile | None:
    """The file that `setting` means; None where it means none, or 'auto' finds none.

    Args:
        setting: 'none', a path, or 'auto': torch hub's cache, else the network.
        fetch: whether 'auto' may ask the network. It gives up after seconds where there is none.
        tell: is told before anything is fetched.

    Raises:
        InputError: the file that is named is not there.
        WeightsError: the file in the cache is not the published one.
    """
    if setting == "none":
        return None
    named = named_file(setting, network)
    if named is not None:
        return WeightsFile(named.absolute(), _sha256(named))
    path = cached(network) or (_fetched(network, tell) if fetch else None)
    if path is None:
        return None
    digest = _sha256(path)
    if not is_published(digest, network):
        raise WeightsError(
            f"{path}: damaged, or another file of this name: its sha256 does not start with "
            f"{named_digest(path.name)}; remove it, or set score_quality.{network.setting} to 'none'"
        )
    return WeightsFile(path, digest)


def cached(network: Network) -> Path | None:
    """The network's file in torch hub's cache, under one of its names; None where there is none."""
    places = (hub_path(network.url).with_name(name) for name in network.files)
    return next((place for place in places if place.is_file()), None)


def is_published(sha256: str, network: Network) -> bool:
    """Whether a digest is that of the file which everybody uses."""
    return sha256.startswith(named_digest(network.files[0]))


def _fetched(network: Network, tell: Callable[[str], None]) -> Path | None:
    path = hub_path(network.url)

    def on_answer() -> None:
        tell(f"fetching {network.url}, once, to {path.parent}")

    try:
        download(network.url, path, named_digest(path.name), _TIMEOUT_S, _LIMIT_S, on_answer)
    except OSError:
        return None
    return path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
