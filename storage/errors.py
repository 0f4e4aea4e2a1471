"""What can be wrong with stored artifacts."""

from __future__ import annotations


class StorageError(Exception):
    """The store cannot do what was asked; the message says why and how to mend it."""


class MissingArtifact(StorageError, ValueError):
    """What was asked for is not in the store, or its name fits several."""


class DamagedArtifact(StorageError, RuntimeError):
    """A file of a committed artifact is missing or altered; the message names the file."""


class DiskFull(StorageError):
    """There is no room to write; not an OSError, for to try again at once is of no use."""
