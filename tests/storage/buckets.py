"""A real S3 server on loopback (SeaweedFS, in a process of its own), and a proxy before it that fails."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import obstore
from obstore.store import S3Store

ACCESS = {"AWS_ACCESS_KEY_ID": "segspade", "AWS_SECRET_ACCESS_KEY": "of-tests", "AWS_REGION": "us-east-1"}
_USER = {name.removeprefix("AWS_").lower(): value for name, value in ACCESS.items()}
_USERS = (
    '{"identities": [{"name": "tests", "credentials": [{"accessKey": "segspade", "secretKey": "of-tests"}],'
    ' "actions": ["Admin", "Read", "Write", "List"]}]}'
)


@contextlib.contextmanager
def s3_server(folder: Path) -> Iterator[str]:
    """The address of a server that keeps its files in `folder`, for as long as the block lasts."""
    (folder / "users.json").write_text(_USERS)
    (folder / "data").mkdir()
    ports = _free_ports(8)
    named = dict(
        zip(
            (
                *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
                *("filer.port", "filer.port.grpc", "s3.port", "s3.port.grpc"),
            ),
            ports,
            strict=True,
        )
    )
    command = [
        str(Path(sys.executable).parent / "weed"),
        "server",
        f"-dir={folder / 'data'}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",  # nothing is told to anybody
        "-master.electionTimeout=1s",
        "-master.volumeSizeLimitMB=64",
        "-volume.max=0",
        "-filer",
        "-s3",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        f"-s3.config={folder / 'users.json'}",
        *(f"-{name}={port}" for name, port in named.items()),
    ]
    # it would let in whoever the variables of whoever runs the tests name
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=clean)
    try:
        address = f"http://127.0.0.1:{named['s3.port']}"
        _wait_for(address, process, folder / "log")
        options: Any = {"allow_http": True}
        # this server makes a bucket for what is put there first
        obstore.put(S3Store("tests", endpoint=address, client_options=options, **_USER), "made", b"")
        yield address
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder / "data", ignore_errors=True)
        for port in ports:
            for left in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # it knows no other place for these
                left.unlink(missing_ok=True)


def _free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(address, timeout=5).close()
        except urllib.error.HTTPError:
            return  # it wants to know who asks
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"the S3 server did not start: {log.read_text()[-2000:]}")


class Proxy:
    """Hands requests on to a server, counts them, and answers some itself.

    `judge` is asked for each with (method, path, number of the request): a status to answer with, None to
    hand it on, 'drop' to hand it on and close the line without the answer, 'die' to close it at once.
    """

    def __init__(self, address: str) -> None:
        self.judge: Callable[[str, str, int], int | str | None] = lambda *_: None
        self.seen: list[tuple[str, str]] = []
        self.sent: dict[str, int] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler(address.removeprefix("http://")))
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def gets(self, ending: str = "") -> list[str]:
        """Paths of the objects that were read whole."""
        return [path for method, path in self.seen if method == "GET" and "?" not in path and ending in path]

    def _handler(self, upstream: str) -> type[BaseHTTPRequestHandler]:
        proxy, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _hand_on(self) -> None:
                with lock:
                    proxy.seen.append((self.command, self.path))
                    verdict = proxy.judge(self.command, self.path, len(proxy.seen))
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if verdict == "die":
                    self.close_connection = True
                    return
                if isinstance(verdict, int):
                    self.send_response(verdict)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                line = http.client.HTTPConnection(upstream, timeout=60)
                try:
                    # the host as it came, for it is signed
                    line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                    for name, value in self.headers.items():
                        line.putheader(name, value)
                    line.endheaders(body)
                    answer = line.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):  # the server itself went away
                    self.close_connection = True
                    return
                finally:
                    line.close()
                if verdict == "drop":
                    self.close_connection = True
                    return
                proxy.sent[self.path] = proxy.sent.get(self.path, 0) + len(content)
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                        self.send_header(name, value)
                if answer.getheader("Content-Length") is None:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _hand_on

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def environment(address: str) -> dict[str, str]:
    """The variables by which a process finds the server."""
    return {**os.environ, **ACCESS, "AWS_ENDPOINT_URL": address, "AWS_ALLOW_HTTP": "true"}
