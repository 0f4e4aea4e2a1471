"""The thin layer over obstore: conditions hold, failures say what to do, answers that were lost are found."""

from __future__ import annotations

import os
import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from buckets import Proxy

from storage.errors import StorageError
from storage.objects import BucketAway, Entry, Outrun, open_bucket


@pytest.fixture
def proxy(s3_address, url, monkeypatch):
    proxy = Proxy(s3_address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    yield proxy
    proxy.close()


def test_objects_are_put_found_listed_and_deleted(url):
    bucket = open_bucket(url)
    etag = bucket.put("a/b c/ä.txt", b"1")
    bucket.put("a/d", b"22")
    bucket.put("ab", b"")
    assert bucket.get("a/d").content == b"22"
    found = bucket.head("a/b c/ä.txt")
    assert found == Entry("a/b c/ä.txt", 1, etag, found.changed)
    assert abs(found.changed - datetime.now(UTC)) < timedelta(days=1)
    assert [(entry.name, entry.bytes) for entry in bucket.entries("a")] == [("a/b c/ä.txt", 1), ("a/d", 2)]
    assert bucket.folders("a") == ["b c"]
    bucket.copy("a/d", "e")
    assert b"".join(bucket.blocks("e")) == b"22"
    assert bucket.get_if_changed("a/b c/ä.txt", etag) == "same"
    assert bucket.get_if_changed("a/b c/ä.txt", '"0"').content == b"1"
    bucket.delete(["a/d", "none"])
    assert (bucket.get("a/d"), bucket.head("a/d"), bucket.get_if_changed("a/d", etag)) == (None, None, None)
    assert (bucket.entries("none"), bucket.folders("none")) == ([], [])
    with pytest.raises(FileNotFoundError):
        list(bucket.blocks("none"))


@pytest.mark.parametrize(
    ("address", "plain", "message"),
    [
        ("127.0.0.1:9000", "true", "AWS_ENDPOINT_URL=127.0.0.1:9000: no URL of a server; give one such as"),
        ("localhost", "true", "AWS_ENDPOINT_URL=localhost: no URL of a server"),
        ("ftp://host", "true", "AWS_ENDPOINT_URL=ftp://host: no URL of a server"),
        ("http://127.0.0.1:1", "", "plain HTTP, .* set AWS_ALLOW_HTTP=true if that is meant"),
    ],
)
def test_a_wrong_endpoint_is_told_as_such(monkeypatch, address, plain, message):
    """Fault: a panic of the library, or "the bucket does not answer", for what is a variable's fault."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ALLOW_HTTP", plain)
    with pytest.raises(StorageError, match=message):
        open_bucket("s3://bucket/team")


def test_a_put_on_condition_never_undoes_what_another_put(url):
    bucket = open_bucket(url)
    first = bucket.put_new("a", b"1")
    with pytest.raises(Outrun):
        bucket.put_new("a", b"2")
    second = bucket.put_over("a", b"2", first)
    with pytest.raises(Outrun):
        bucket.put_over("a", b"3", first)
    bucket.delete(["a"])
    with pytest.raises(Outrun):
        bucket.put_over("a", b"3", second)


def test_of_eight_threads_one_makes_an_object_each_time(url):
    """The server must know If-None-Match: one that ignores it would let all of them through."""

    def put(number: int) -> int:
        try:
            open_bucket(url).put_new(str(number // 8), str(number).encode())
        except Outrun:
            return 0
        return 1

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(put, range(160)))
    assert [sum(made[at : at + 8]) for at in range(0, 160, 8)] == [1] * 20


@pytest.mark.parametrize("verdict", ["drop", "die", 500, 503])
def test_a_server_that_stumbles_is_asked_again_and_a_lost_answer_is_no_rival(proxy, url, verdict):
    """Fault: a put whose answer was lost finds itself when tried again, and takes that for a rival."""
    proxy.judge = lambda _method, _path, number: verdict if number % 2 else None
    bucket = open_bucket(url)
    etag = bucket.put_new("a", b"1")
    etag = bucket.put_over("a", b"2", etag)
    assert bucket.get("a").etag == etag
    assert [entry.name for entry in bucket.entries("")] == ["a"]


def test_a_server_that_is_gone_says_so_in_time(url, monkeypatch):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{probe.getsockname()[1]}")
    bucket = open_bucket(url, patience_s=0.5)
    with pytest.raises(BucketAway, match=rf"^{url}/a: the bucket does not answer .*run the same again"):
        bucket.get("a")
    assert issubclass(BucketAway, OSError)  # what is tried again within a run


def test_wrong_credentials_buckets_and_urls_say_what_to_mend(url, monkeypatch):
    for ask in (lambda bucket: bucket.get("a"), lambda bucket: bucket.entries("")):
        with pytest.raises(StorageError, match=r"^s3://none/x.*: there is no such bucket; make it first"):
            ask(open_bucket("s3://none/x"))
    with pytest.raises(StorageError, match=r"^ftp://a/b: a workspace lies in a folder, or in a bucket"):
        open_bucket("ftp://a/b")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    for ask in (lambda bucket: bucket.get("a"), lambda bucket: bucket.entries("")):
        with pytest.raises(StorageError, match=rf"^{url}.*: the server does not let us in; set AWS_ACCESS"):
            ask(open_bucket(url))


def test_a_child_of_a_fork_asks_through_a_process_of_its_own(url):
    """Fault: obstore waits for ever in a child whose parent has used it."""
    bucket = open_bucket(url)
    bucket.put("a", b"1")
    read, write = os.pipe()
    child = os.fork()
    if not child:
        found = open_bucket(url)
        answer = [found.get("a").content, found.get("none"), b"".join(found.blocks("a"))]
        try:
            found.put_new("a", b"2")
        except Outrun:
            answer.append("outrun")
        os.write(write, repr(answer).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answers:
        assert answers.read() == repr([b"1", None, b"1", "outrun"])
    assert os.waitpid(child, 0)[1] == 0
