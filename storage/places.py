"""Where a workspace lies: a folder as it is, and a URL of an object store as the folder that mirrors it.

Texts come in at the border, from the command line, the forms of a UI and Python. Behind it there are only
paths. Those of mirrors are for programs; a person is shown the URL.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from storage.cache_limit import limit_bytes
from storage.errors import MissingArtifact
from storage.mirror import make_mirror, mirror_in
from storage.objects import SCHEMES, endpoint


def workspace_path(place: str | Path) -> Path:
    """The folder of a workspace, which for a URL is that of its mirror, made when missing.

    Mirrors lie in $SEGSPADE_CACHE, or in ~/.cache/segspade. Two servers may each have a bucket of one name:
    where AWS_ENDPOINT_URL names another, the mirror is another.

    Raises:
        MissingArtifact: the URL names nothing that can hold a workspace.
        StorageError: $SEGSPADE_CACHE_LIMIT is no size.
    """
    url = url_of(place)
    if url is None:
        return Path(place)
    limit_bytes()
    known_to = endpoint()[1]
    digest = hashlib.sha256(f"{url} {known_to if url.startswith('s3') else ''}".encode()).hexdigest()[:12]
    name = re.sub(r"[^A-Za-z0-9._-]", "-", url.rpartition("/")[2])
    return make_mirror(cache() / f"{name}-{digest}", url)


def url_of(place: str | Path) -> str | None:
    """The URL that somebody means by it, without a slash at the end; None when they mean a folder.

    Raises:
        MissingArtifact: it names nothing that can hold a workspace.
    """
    text = str(place)
    first, _, rest = text.partition("/")
    # a Path has lost the dot that would tell
    if isinstance(place, str) and first in SCHEMES and rest and not Path(first).exists():
        meant = f"{first}://{rest.strip('/')}"
        raise MissingArtifact(f"{text}: do you mean {meant}? A folder of that name is written ./{text}")
    scheme, colon, rest = text.partition(":/")
    if not colon or (scheme not in SCHEMES and not rest.startswith("/")):
        return None
    where = rest.strip("/")
    if scheme not in SCHEMES or not where:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise MissingArtifact(f"{text}: a workspace lies in a folder, or in a bucket at one of {known}")
    # a Path that was made of a URL has lost one of the two slashes
    return f"{scheme}://{where}"


def cache() -> Path:
    """The folder of all mirrors."""
    return Path(os.environ.get("SEGSPADE_CACHE") or "~/.cache/segspade").expanduser().absolute()


def shown(workspace: Path) -> str:
    """How a person calls a workspace: its URL, or its folder as it was given."""
    mirror = mirror_in(workspace)
    return str(workspace) if mirror is None else mirror.url


def _as_text(place: Any) -> Any:
    # no Path: out of JSON, pydantic takes none
    return str(workspace_path(place)) if isinstance(place, str | Path) else place


Workspace = Annotated[Path, BeforeValidator(_as_text)]
