"""Pages of reports on a server: what is committed and has pages, and nothing else of the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from flows.report_pages import add_report_pages
from storage.keys import artifact_key
from storage.refs import ArtifactRef
from storage.store import Store


@pytest.fixture
def client(tmp_path: Path) -> TestClient:
    app = Starlette(routes=[Route("/{rest:path}", lambda request: PlainTextResponse("Prefect"))])
    add_report_pages(app, tmp_path)
    return TestClient(app)


def made(workspace: Path, kind: str) -> ArtifactRef:
    of = {"stage": kind, "revision": 1, "config": {}, "inputs": {}}
    ref = ArtifactRef.model_validate({"kind": kind, "key": artifact_key(**of)})  # type: ignore[arg-type]
    with Store(workspace).writer(ref) as staging:
        assert staging is not None
        (staging.path / "inspector").mkdir()
        (staging.path / "report.html").write_text("<p>a report")
        (staging.path / "inspector" / "val.js").write_text("1")
        staging.commit(**of, counts={}, seconds=1.0)  # type: ignore[arg-type]
    return ref


def test_pages_and_what_lies_below_them_are_answered(client: TestClient, tmp_path: Path) -> None:
    """Faults: the page is offered as a download; Prefect's own pages are gone."""
    ref = made(tmp_path, "report")
    page = client.get(f"/pages/{ref}/report.html")
    assert (page.status_code, page.text) == (200, "<p>a report")
    assert page.headers["content-type"].startswith("text/html")
    assert client.get(f"/pages/{ref}/inspector/val.js").text == "1"
    assert client.get("/runs").text == "Prefect"


@pytest.mark.parametrize(
    "path",
    [
        "report/{key}/nothing.html",
        "report/{key}/inspector",
        "report/{key}/..%2f..%2f..%2fsecret",
        "report/{key}/%2fetc%2fpasswd",
        "report/0000000000000000/report.html",
        "report/..%2f..%2fx/report.html",
        "scores/{scores}/report.html",
        "elsewhere/{key}/report.html",
    ],
)
def test_nothing_else_is(client: TestClient, tmp_path: Path, path: str) -> None:
    """Faults: a way out of the artifact; weights and datasets handed to who asks; a traceback."""
    (tmp_path / "secret").write_text("secret")
    keys = {"key": made(tmp_path, "report").key, "scores": made(tmp_path, "scores").key}
    assert client.get("/pages/" + path.format(**keys)).status_code == 404


def test_a_report_that_is_being_made_is_not_shown(client: TestClient, tmp_path: Path) -> None:
    ref = ArtifactRef(kind="report", key="1" * 16)
    with Store(tmp_path).writer(ref) as staging:
        assert staging is not None
        (staging.path / "report.html").write_text("half")
        assert client.get(f"/pages/{ref}/report.html").status_code == 404
