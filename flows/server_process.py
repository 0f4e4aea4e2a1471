"""The process of a workspace's Prefect server: `python -m flows.server_process WORKSPACE PORT LOCK`."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

from flows.report_pages import add_report_pages
from flows.server import HOST, home_of, is_alive, prepare_environment, write_record
from flows.server_database import prepare_database

IDLE_S = 15 * 60
_LOOK_EVERY_S = 5.0


def serve(workspace: Path, port: int, lock: int | None = None, idle_s: float = IDLE_S) -> None:
    """Be the server until no client has been alive for `idle_s`.

    Args:
        lock: descriptor of the lock on starting a server, closed as soon as this one is up.
    """
    prepare_environment(workspace)
    api = f"http://{HOST}:{port}/api"
    # the server tells its pages where it is: with another port than 4200 they would be empty
    os.environ.update(PREFECT_API_URL=api, PREFECT_SERVER_UI_API_URL=api)
    os.environ["PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL"] = "WARNING"
    # one at a time, thousands of tasks that end quickly are written too slowly, and most are dropped
    os.environ.setdefault("PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE", "100")
    import uvicorn
    from prefect.server.api.server import create_app

    prepare_database(home_of(workspace))
    app = create_app()
    add_report_pages(app, workspace)
    server = uvicorn.Server(
        uvicorn.Config(
            app, host=HOST, port=port, log_level="error", lifespan="on", timeout_graceful_shutdown=5
        )
    )

    def watch() -> None:
        while not server.started and not server.should_exit:
            time.sleep(0.1)
        if server.started:
            write_record(workspace, api)
        if lock is not None:
            os.close(lock)
        used = time.monotonic()
        while not server.should_exit:
            time.sleep(min(_LOOK_EVERY_S, idle_s))
            if clients(workspace):
                used = time.monotonic()
            # a workspace that was deleted has no clients either, and nobody could find the server again
            if time.monotonic() - used > idle_s or not home_of(workspace).exists():
                server.should_exit = True

    threading.Thread(target=watch, name="watch-clients", daemon=True).start()
    server.run()


def clients(workspace: Path) -> int:
    """How many registered clients are alive; what dead ones left is removed."""
    alive = 0
    for path in (home_of(workspace) / "clients").glob("*"):
        try:
            created = float(path.read_text())
        except (OSError, ValueError):
            # written this moment, or gone this moment
            alive += path.exists()
            continue
        if is_alive(int(path.name), created):
            alive += 1
        else:
            path.unlink(missing_ok=True)
    return alive


if __name__ == "__main__":
    serve(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
