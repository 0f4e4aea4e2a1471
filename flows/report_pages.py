"""Pages of reports, shown by the workspace's own Prefect server.

No browser follows a link from the UI to a file, so the UI's links go to these.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.server import find_server
from storage.refs import ArtifactRef
from storage.store import Store

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

PREFIX = "/pages"
_KINDS = ("report", "depth")


def add_report_pages(app: Any, workspace: Path) -> None:
    """Let `app` answer `/pages/KIND/KEY/FILE` with a file of a committed artifact that has pages.

    Args:
        app: Starlette's, such as Prefect's.
    """
    from starlette.responses import FileResponse, PlainTextResponse
    from starlette.routing import Route

    store = Store(workspace)

    def answer(request: Request) -> Response:
        asked = request.path_params
        found = _find(store, asked["kind"], asked["key"], asked["file"])
        if found is None:
            return PlainTextResponse("There is no such page (any more).", 404)
        return FileResponse(found)

    # in front: the pages of Prefect take every address that nobody took before
    app.router.routes.insert(0, Route(f"{PREFIX}/{{kind}}/{{key}}/{{file:path}}", answer))


def _find(store: Store, kind: str, key: str, file: str) -> Path | None:
    if kind not in _KINDS:
        return None
    try:
        ref = ArtifactRef.model_validate({"kind": kind, "key": key})
    except ValueError:
        return None
    if not store.exists(ref):
        return None
    folder = store.path(ref).resolve()
    found = (folder / file).resolve()
    return found if found.is_relative_to(folder) and found.is_file() else None


def pages_of(workspace: Path) -> str | None:
    """Where the server that this run reports to shows pages of the workspace; None if it is not its own."""
    from prefect.settings import get_current_settings

    server = find_server(workspace)
    return PREFIX if server is not None and server.api == get_current_settings().api.url else None
