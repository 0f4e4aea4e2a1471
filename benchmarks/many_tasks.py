"""What thousands of shard tasks cost before any of them does any work, and what the Prefect server bears.

The task is `segment`'s own, sent through `map_parts`, on shards that are made already: it looks, finds, and
returns its reference. What is left is orchestration: states, events, logs, the cache record. Each count runs
in a process of its own, against a server process of its own (SQLite, a temporary workspace, loopback), which
is ended with it. The second run of the same tasks finds the records of the first, and shows as Cached.

The server writes task runs later than they end, one after the other, and keeps up to 10,000 events until
then. What comes when these are full is dropped: such task runs are missing in the UI, whatever they made.

    python benchmarks/many_tasks.py [--tasks 2000]

It takes a tenth of the tasks first, to show whether time and size are linear. 10,000 take some 20 minutes,
the 2,000 of the default three.
Settings of the server can be tried: they are taken from the environment, as PREFECT_SERVER_...
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import psutil
from server_for_benchmarks import own_server

from flows.server import ServerRecord, home_of

SHARD = 16
PAGE = 200  # rows that the API gives at once
# no new row for so long: those that are missing will not come
LOST_AFTER_S = 45.0
FLUSH_S = 8.0  # the server writes events in batches, every 5 s
MIB = 2**20


class Peak:
    """Resident memory of the server and of this process, looked at four times a second."""

    def __init__(self, server: psutil.Process) -> None:
        self._processes = {"server": server, "client": psutil.Process()}
        self._ended = threading.Event()
        self.mib = dict.fromkeys(self._processes, 0.0)

    def now(self) -> dict[str, float]:
        """MiB of each, at this moment; the peaks are kept."""
        sizes = {name: process.memory_info().rss / MIB for name, process in self._processes.items()}
        self.mib = {name: max(self.mib[name], size) for name, size in sizes.items()}
        return sizes

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Look, for as long as the block lasts."""

        def look() -> None:
            while not self._ended.wait(0.25):
                self.now()

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()


class Database:
    """The server's SQLite file, read beside the server: to ask the server would be work for it."""

    def __init__(self, home: Path) -> None:
        self._address = f"file:{home / 'prefect.db'}?mode=ro"

    def ask(self, query: str, *values: Any) -> list[Any]:
        """Rows of a query."""
        connection = sqlite3.connect(self._address, uri=True, timeout=60)
        try:
            return connection.execute(query, values).fetchall()
        finally:
            connection.close()

    def ended(self, run: str) -> int:
        """Task runs of a flow run whose end is in the database."""
        ((count,),) = self.ask(
            "SELECT count(*) FROM task_run WHERE flow_run_id = ? AND state_type = 'COMPLETED'", run
        )
        return int(count)

    def states(self, run: str) -> dict[str, int]:
        """State → task runs of a flow run that are in it, as far as the database knows."""
        query = "SELECT state_name, count(*) FROM task_run WHERE flow_run_id = ? GROUP BY state_name"
        return dict(self.ask(query, run))

    def tables(self) -> dict[str, int]:
        """Table → bytes of its pages and of those of its indices."""
        return dict(
            self.ask(
                "SELECT tbl_name, sum(pgsize) FROM dbstat JOIN sqlite_master USING (name) GROUP BY tbl_name"
            )
        )


def files_of(folder: Path) -> tuple[int, int]:
    """Number and bytes of the files under a folder."""
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def wait_for_rows(database: Database, run: str, count: int) -> tuple[float, int]:
    """Seconds until the last row that came at all, and how many came."""
    began = last = time.monotonic()
    there = -1
    while there < count and time.monotonic() - last < LOST_AFTER_S:
        now = database.ended(run)
        if now != there:
            there, last = now, time.monotonic()
        time.sleep(0.25)
    return last - began, there


def answer(api: str, path: str, body: dict[str, Any] | None) -> tuple[float, Any]:
    """Seconds that the API takes, and what it answers; a refusal is an answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{api}{path}", data, {"Content-Type": "application/json"})
    began = time.perf_counter()
    try:
        with urllib.request.urlopen(request, timeout=300) as response:
            content = response.read()
    except urllib.error.HTTPError as error:
        content = json.dumps(error.read().decode()[:200]).encode()
    return time.perf_counter() - began, json.loads(content)


def pages(api: str, run: str, rows: int) -> dict[str, list[Any]]:
    """What the pages of a flow run ask for: median seconds of five, and what came."""
    of_run = {"flow_runs": {"id": {"any_": [run]}}, "sort": "EXPECTED_START_TIME_DESC", "limit": PAGE}
    asked: dict[str, tuple[str, dict[str, Any] | None]] = {
        "filter, first page": ("/task_runs/filter", of_run),
        "filter, last page": ("/task_runs/filter", {**of_run, "offset": max(0, rows - PAGE)}),
        "count": ("/task_runs/count", {"flow_runs": of_run["flow_runs"]}),
        "graph": (f"/flow_runs/{run}/graph-v2", None),
    }
    found: dict[str, list[Any]] = {}
    for name, (path, body) in asked.items():
        answers = [answer(api, path, body) for _ in range(5)]
        content = answers[-1][1]
        if isinstance(content, dict):
            content = content.get("nodes", content)
        size = content if isinstance(content, int | str) else len(content)
        found[name] = [median(seconds for seconds, _ in answers), size]
    return found


def made_plan(workspace: Path, count: int) -> tuple[Any, list[Any]]:
    """The plan of a segmentation, and its parts, every one of them with the marker that says it is made."""
    from segspade_core.config import RuntimeConfig, SegmentConfig
    from storage.refs import ArtifactRef
    from tasks.plan import marker, parts_of
    from tasks.segmenting import plan_segment

    segmenter = ArtifactRef(kind="segmenter", key="0" * 16)
    images = ArtifactRef(kind="dataset", key="1" * 16)
    # the count tells the plans apart: the warm-up's shards are not those of the run
    config = SegmentConfig(split="train", limit=count * SHARD)
    plan = plan_segment(workspace, segmenter, images, config, RuntimeConfig(device="cpu", threads=1))
    parts = parts_of({"train": count * SHARD})
    marker(plan, parts[0]).parent.mkdir(parents=True)
    for part in parts:
        marker(plan, part).touch()
    return plan, parts


def runs_of(workspace: Path) -> Callable[[int], tuple[str, float]]:
    """A function: so many tasks → id of their flow run, and seconds from the first to the last."""
    from prefect import flow
    from prefect.runtime import flow_run

    from tasks.segmenting import segment_part
    from tasks.stage import map_parts

    plans: dict[int, Any] = {}

    @flow(name="many-tasks")
    def many_tasks(count: int) -> tuple[str, float]:
        began = time.perf_counter()
        made = map_parts(segment_part, *plans[count])
        assert [part.part for part in made] == plans[count][1]
        return str(flow_run.id), time.perf_counter() - began

    def run(count: int) -> tuple[str, float]:
        if count not in plans:
            plans[count] = made_plan(workspace, count)
        return many_tasks(count)

    return run


def measure(count: int, workspace: Path, server: ServerRecord) -> dict[str, Any]:
    """Run `count` tasks twice against a server of their own."""
    found: dict[str, Any] = {"tasks": count}
    home, process = home_of(workspace), psutil.Process(server.pid)
    run, database, peak = runs_of(workspace), Database(home), Peak(process)
    run(1)  # both processes have loaded all they need
    time.sleep(FLUSH_S)
    tables, files, cpu = database.tables(), files_of(home / "storage"), process.cpu_times()
    found["before"] = peak.now()
    with peak.watching():
        for name in ("first", "cached"):
            id, seconds = run(count)
            late, rows = wait_for_rows(database, id, count)
            time.sleep(FLUSH_S)
            now, spent, stored = database.tables(), process.cpu_times(), files_of(home / "storage")
            found[name] = {
                "seconds": seconds,
                "late": late,
                "rows": rows,
                "states": database.states(id),
                "server_cpu": spent.user + spent.system - cpu.user - cpu.system,
                "tables": {table: size - tables.get(table, 0) for table, size in now.items()},
                "records": [b - a for a, b in zip(files, stored, strict=True)],
                "pages": pages(server.api, id, rows),
                "after": peak.now(),
                "peak": dict(peak.mib),
            }
            tables, files, cpu = now, stored, spent
    found["database"] = sum(path.stat().st_size for path in home.glob("prefect.db*"))
    log = (home / "server.log").read_text(errors="replace")
    found["dropped"] = log.count("Subscription queue is full")
    return found


def measure_and_print(count: int) -> None:
    """What each process does that `main` starts."""
    with own_server("many-tasks") as (workspace, server):
        found = measure(count, workspace, server)
    print(json.dumps(found))


def show(found: dict[str, Any]) -> None:
    """One count's figures."""
    count = found["tasks"]
    print(f"\n{count:,} tasks {'first run':>37} {'second, cached':>15}")

    def line(name: str, of: Callable[[dict[str, Any]], float], form: str) -> None:
        print(f"  {name:34} {of(found['first']):>15{form}} {of(found['cached']):>15{form}}")

    line("seconds", lambda run: run["seconds"], ",.1f")
    line("ms a task", lambda run: 1000 * run["seconds"] / count, ".1f")
    line("ms of the server's CPU a task", lambda run: 1000 * run["server_cpu"] / count, ".1f")
    line("seconds until the last row is there", lambda run: run["late"], ".1f")
    line(
        "task runs the server writes a second",
        lambda run: run["rows"] / (run["seconds"] + run["late"]),
        ".1f",
    )
    line("ended task runs in the database", lambda run: run["rows"], ",")
    line("of these Cached", lambda run: run["states"].get("Cached", 0), ",")
    line("task runs without an end there", lambda run: sum(run["states"].values()) - run["rows"], ",")
    line("task runs that are not there at all", lambda run: count - sum(run["states"].values()), ",")
    line("database, bytes a task run", lambda run: sum(run["tables"].values()) / count, ",.0f")
    largest = sorted(found["first"]["tables"].items(), key=lambda item: -item[1])
    for table in [name for name, size in largest if size / count >= 100]:
        line(f"  of it {table}", lambda run, table=table: run["tables"].get(table, 0) / count, ",.0f")
    line("cache records, files", lambda run: run["records"][0], ",")
    line("cache records, bytes a task", lambda run: run["records"][1] / count, ",.0f")
    for process in ("server", "client"):
        line(f"{process}, MiB at the peak so far", lambda run, at=process: run["peak"][at], ",.0f")
        line(f"{process}, MiB afterwards", lambda run, at=process: run["after"][at], ",.0f")
    for page in found["first"]["pages"]:
        line(f"API, {page}, ms", lambda run, page=page: 1000 * run["pages"][page][0], ",.0f")
    before = ", ".join(f"{name} {size:,.0f} MiB" for name, size in found["before"].items())
    print(f"  before: {before}; at the end: database {found['database'] / 1e6:,.1f} MB on disk")
    sizes = {page: size for page, (_, size) in found["first"]["pages"].items()}
    print(f"  the API gave {sizes}")
    print(f"  warnings of the server that its queue of events is full: {found['dropped']:,}", flush=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", type=int, default=2_000)
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure_and_print(arguments.measure)
        return
    # neither somebody's server nor somebody's settings, but for those of the server that are to be tried
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("PREFECT_") or name.startswith("PREFECT_SERVER_")
    }
    for count in (max(arguments.tasks // 10, 2), arguments.tasks):
        command = [sys.executable, __file__, "--measure", str(count)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
        show(json.loads(done.stdout))


if __name__ == "__main__":
    main()
