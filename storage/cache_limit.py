"""How much of buckets the mirrors keep, where SEGSPADE_CACHE_LIMIT says so.

Only shards of committed arrays count and go, those first that were fetched first: they are nearly all of it,
and are fetched again when they are asked for. An epoch asks for all of them in another order each time, so
that no choice of those to keep would be much better.
"""

from __future__ import annotations

import os
import re
import time
from collections import Counter
from pathlib import Path

from storage.errors import StorageError
from storage.files import files_under, is_partial
from storage.shard_index import is_shard

_ABANDONED_S = 3600
VARIABLE = "SEGSPADE_CACHE_LIMIT"
_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_fetched: Counter[Path] = Counter()  # bytes since this process last looked at a mirror


def limit_bytes() -> int | None:
    """The limit of each mirror; None when there is none.

    Raises:
        StorageError: the variable does not hold a size.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", text.upper())
    if not found:
        raise StorageError(f"{VARIABLE}={text}: no size; give one such as 200GB")
    return int(float(found[1]) * _UNITS[found[2].rstrip("B") + "B"])


def keep_within_limit(root: Path, fetched: int) -> None:
    """Tell that so many bytes more lie in the mirror `root`, and delete shards when it holds too much.

    It is looked at once in a hundredth of the limit. Whoever reads a shard that goes meanwhile fetches it
    anew: see `storage.arrays`.
    """
    limit = limit_bytes()
    if limit is None:
        return
    _fetched[root] += fetched
    if _fetched[root] * 100 < limit:
        return
    _fetched[root] = 0
    shards = []
    for path in files_under(root / "artifacts"):
        if is_shard("/".join(path.relative_to(root).parts[3:])):
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process deletes as well
            # a part of a shard is being written, unless whoever wrote it was killed
            if not is_partial(path) or time.time() - status.st_mtime > _ABANDONED_S:
                shards.append((status.st_mtime_ns, path, status.st_size))
    held = sum(size for _, _, size in shards)
    newest = max(shards, default=None)
    for shard in sorted(shards):
        # the one that was just fetched is about to be read
        if held <= limit or shard is newest:
            return
        shard[1].unlink(missing_ok=True)
        held -= shard[2]
