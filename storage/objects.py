"""Objects in a bucket: whole bytes under a name, put with or without a condition.

A thin layer over obstore (S3, Google Cloud Storage, Azure). It answers in our own words, tries again when the
server stumbles, and works after a fork too, which obstore does not: a forked child that touches a client, and
whose parent has used one, waits for ever. Such a child asks a process of its own (`storage.object_process`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn, Protocol, cast
from urllib.parse import urlsplit

from storage.errors import StorageError

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "adl")
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
PATIENCE_S = 60.0  # of requests that fail; far more than a server takes to start anew
_ANSWER_S = 600.0  # of one request: a checkpoint of a gigabyte over a slow line
_BLOCK = 8 << 20

# the process that has used obstore first: its children by fork must not
_user: int | None = None


class Outrun(Exception):
    """The object is not, or not any more, what the condition of a put asks for: another was faster."""


class BucketAway(StorageError, OSError):
    """The bucket did not answer, or not with what was asked for; the same may work later."""


@dataclass(frozen=True)
class Entry:
    """An object as a listing tells it; `name` is relative to the workspace's URL."""

    name: str
    bytes: int
    etag: str
    changed: datetime


@dataclass(frozen=True)
class Object:
    """The bytes of an object, and what tells them from those it had before and will have."""

    content: bytes
    etag: str


class Bucket(Protocol):
    """What can be done with the objects below a URL. Names are relative to it, with '/'."""

    def get(self, name: str) -> Object | None: ...
    def get_if_changed(self, name: str, etag: str) -> Object | Literal["same"] | None: ...
    def head(self, name: str) -> Entry | None: ...
    def entries(self, prefix: str) -> list[Entry]: ...
    def folders(self, prefix: str) -> list[str]: ...
    def put(self, name: str, content: bytes) -> str: ...
    def put_new(self, name: str, content: bytes) -> str: ...
    def put_over(self, name: str, content: bytes, etag: str) -> str: ...
    def copy(self, source: str, target: str) -> None: ...
    def delete(self, names: Sequence[str]) -> None: ...
    def blocks(self, name: str) -> Iterator[bytes]: ...


def open_bucket(url: str, patience_s: float = PATIENCE_S) -> Bucket:
    """The objects below `url`, for this process; after a fork it has to be opened anew.

    Raises:
        StorageError: nothing of that kind can hold a workspace.
    """
    global _user
    scheme = url.partition("://")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in SCHEMES)
        raise StorageError(f"{url}: a workspace lies in a folder, or in a bucket at one of {known}")
    if _user is None:
        _user = os.getpid()
    if _user != os.getpid():
        from storage.object_process import BucketProcess

        return cast(Bucket, BucketProcess(url, patience_s))
    return Objects(url, patience_s)


class Objects:
    """A bucket as obstore reaches it; see `Bucket`. Threads may share it.

    Every method raises BucketAway when the server does not answer as it should, and StorageError when it does
    not let us in or there is no such bucket; the message names the URL and the remedy.
    """

    def __init__(self, url: str, patience_s: float = PATIENCE_S) -> None:
        import obstore  # here, and not above: a workspace on a disk needs none
        from obstore.store import from_url

        self.url = url
        if url.startswith("s3"):
            _check_endpoint()
        self._do: Any = obstore
        self._errors: Any = obstore.exceptions
        wait: dict[str, Any] = {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5)}
        answer_s = _ANSWER_S if patience_s >= PATIENCE_S else patience_s
        options: dict[str, Any] = {"timeout": timedelta(seconds=answer_s), "connect_timeout": "10s"}
        if _may_be_plain():
            options["allow_http"] = True
        try:
            self._store: Any = from_url(
                url,
                client_options=cast(Any, options),
                retry_config=cast(
                    Any,
                    {"max_retries": 40, "retry_timeout": timedelta(seconds=patience_s), "backoff": wait},
                ),
            )
        except obstore.exceptions.BaseError as error:
            self._fail("", error)

    def get(self, name: str) -> Object | None:
        """The object, or None."""
        return self._object(name, {})

    def get_if_changed(self, name: str, etag: str) -> Object | Literal["same"] | None:
        """As `get`, but 'same' without its bytes when it has the etag."""
        try:
            return self._object(name, {"if_none_match": etag})
        except self._errors.NotModifiedError:
            return "same"

    def head(self, name: str) -> Entry | None:
        """What a listing would say of the object; None when it is not there."""
        meta = self._ask(name, lambda: self._do.head(self._store, name))
        return None if meta is None else _entry(meta)

    def entries(self, prefix: str) -> list[Entry]:
        """Every object whose name begins with the folder `prefix`, sorted by name."""
        batches = self._ask(prefix, lambda: list(self._do.list(self._store, prefix or None)))
        return sorted((_entry(meta) for batch in batches or () for meta in batch), key=lambda at: at.name)

    def folders(self, prefix: str) -> list[str]:
        """The names directly below the folder `prefix` that have further names below them, sorted."""
        found = self._ask(prefix, lambda: self._do.list_with_delimiter(self._store, prefix))
        prefixes = found["common_prefixes"] if found else ()
        return sorted(each.rstrip("/").rpartition("/")[2] for each in prefixes)

    def put(self, name: str, content: bytes) -> str:
        """Make the object hold `content`, whatever it held. Returns its etag."""
        return self._put(name, content, "overwrite")

    def put_new(self, name: str, content: bytes) -> str:
        """Make the object, of which there must be none. Returns its etag.

        Raises:
            Outrun: there is one.
        """
        return self._put(name, content, "create")

    def put_over(self, name: str, content: bytes, etag: str) -> str:
        """Replace the object, which must have `etag`. Returns its new etag.

        Raises:
            Outrun: it has another, or is gone.
        """
        return self._put(name, content, {"e_tag": etag})

    def copy(self, source: str, target: str) -> None:
        """Copy an object within the bucket; no byte of it comes here."""

        def copied() -> bool:
            self._do.copy(self._store, source, target)
            return True

        if self._ask(source, copied) is None:
            raise BucketAway(f"{self.url}/{source}: is gone; run the same again to go on from here")

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; being gone already is as good."""
        if names:
            self._ask(names[0], lambda: self._do.delete(self._store, list(names)))

    def blocks(self, name: str) -> Iterator[bytes]:
        """The bytes of an object in blocks of some megabytes; FileNotFoundError when there is none."""
        try:
            yield from map(bytes, self._do.get(self._store, name).stream(min_chunk_size=_BLOCK))
        except FileNotFoundError:
            raise
        except self._errors.BaseError as error:
            self._fail(name, error)

    def _object(self, name: str, options: dict[str, str]) -> Object | None:
        def read() -> Object:
            found = self._do.get(self._store, name, options=options)
            return Object(bytes(found.bytes()), found.meta["e_tag"])

        return cast("Object | None", self._ask(name, read))

    def _put(self, name: str, content: bytes, mode: Any) -> str:
        # never in parts: these have no conditions, and leave something behind when they are cut short
        options = {"mode": mode, "use_multipart": False}

        def put() -> Any:
            return self._do.put(self._store, name, content, **options)

        try:
            return str(self._ask(name, put)["e_tag"])
        except (self._errors.AlreadyExistsError, self._errors.PreconditionError) as error:
            # tried again after an answer that was lost, a put finds what it has put itself
            found = self.get(name)
            if found is None or found.content != content:
                raise Outrun(name) from error
            return found.etag

    def _ask(self, name: str, what: Callable[[], Any]) -> Any:
        """The answer; None when there is no such object. A condition that fails is the caller's to judge."""
        errors = self._errors
        try:
            return what()
        except (errors.AlreadyExistsError, errors.PreconditionError, errors.NotModifiedError):
            raise
        except FileNotFoundError as error:
            if "NoSuchBucket" in str(error):
                self._fail(name, error)
            return None
        except errors.BaseError as error:
            self._fail(name, error)

    def _fail(self, name: str, error: Exception) -> NoReturn:
        where = f"{self.url}/{name}".rstrip("/")
        said = str(error)
        denied = (self._errors.PermissionDeniedError, self._errors.UnauthenticatedError)
        if isinstance(error, denied) or "403 Forbidden" in said or "401 Unauthorized" in said:
            raise StorageError(
                f"{where}: the server does not let us in; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY "
                "(or what your cloud has in their place) to those of somebody who may read and write there"
            ) from error
        if "NoSuchBucket" in said or "404 Not Found" in said:
            raise StorageError(
                f"{where}: there is no such bucket; make it first, or mend its name"
            ) from error
        raise BucketAway(
            f"{where}: the bucket does not answer as it should ({_first_words(said)}); look to the network "
            "and to AWS_ENDPOINT_URL, then run the same again to go on from here"
        ) from error


def endpoint() -> tuple[str, str]:
    """The variable that names a server of one's own, and what it says; empty when none does."""
    return next(((name, os.environ[name]) for name in ENDPOINTS if os.environ.get(name)), ("", ""))


def _may_be_plain() -> bool:
    return os.environ.get("AWS_ALLOW_HTTP", "").lower() in ("1", "true", "yes")


def _check_endpoint() -> None:
    """obstore would take a wrong one, and end with it later: by a panic, or as if the server were away."""
    name, url = endpoint()
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.netloc):
        raise StorageError(f"{name}={url}: no URL of a server; give one such as https://s3.example.org:9000")
    if parts.scheme == "http" and not _may_be_plain():
        raise StorageError(
            f"{name}={url}: plain HTTP, which anybody on the way can read; set AWS_ALLOW_HTTP=true "
            "if that is meant"
        )


def _entry(meta: Any) -> Entry:
    return Entry(meta["path"], int(meta["size"]), str(meta["e_tag"]), meta["last_modified"])


def _first_words(said: str) -> str:
    """What obstore says, without the state of its insides and the settings that it was given."""
    words = " ".join(said.partition("Debug source:")[0].split()).removeprefix("Generic S3 error: ")
    return re.sub(r", max_retries: \d+, retry_timeout: \w+", "", words)[:300]
