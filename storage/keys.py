"""Same stage, revision, config and inputs: same key, on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from storage.refs import KEY_LENGTH


def artifact_key(stage: str, revision: int, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The key of what `stage` makes: the first 16 hex digits of a sha256.

    Args:
        stage: name of the stage.
        revision: number of the stage's code; raised when its results change.
        config: JSON values. The order of keys does not matter, tuples are as lists.
        inputs: name → 'kind/key' of an artifact, or 'source/<fingerprint>'.

    Raises:
        ValueError: a number is NaN or infinite.
        TypeError: a value is not JSON (a Path would differ from machine to machine).
    """
    content = canonical_json([stage, revision, dict(config), dict(inputs)])
    return hashlib.sha256(content).hexdigest()[:KEY_LENGTH]


def fingerprint(members: Mapping[str, tuple[int, int]]) -> str:
    """What a source of files looks like from outside, 32 hex digits; no file is read.

    Args:
        members: relative path → (size in bytes, modification time in ns).
    """
    content = canonical_json([[path, size, mtime_ns] for path, (size, mtime_ns) in sorted(members.items())])
    return hashlib.sha256(content).hexdigest()[:32]


def canonical_json(value: Any) -> bytes:
    """JSON without a choice: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
