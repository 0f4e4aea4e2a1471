"""A text becomes a folder, a URL the folder of its mirror; and a person is shown the URL again."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from storage.errors import MissingArtifact
from storage.places import Workspace, shown, url_of, workspace_path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEGSPADE_CACHE", str(tmp_path / "cache"))
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "cache"


@pytest.mark.parametrize("place", ["workspace", "/data/ws", "./s3", "a:b", "C:/ws", "~/x"])
def test_a_folder_stays_as_it_was_typed(place, cache):
    assert workspace_path(place) == Path(place)
    assert workspace_path(Path(place)) == Path(place)
    assert shown(Path(place)) == str(Path(place))
    assert not cache.exists()


def test_a_url_is_its_mirror_however_it_is_written(cache):
    folder = workspace_path("s3://bucket/team/ws")
    assert folder.parent == cache
    assert folder.name.startswith("ws-")
    for same in ("s3://bucket/team/ws/", Path("s3://bucket/team/ws"), folder):
        assert workspace_path(same) == folder
    assert shown(folder) == "s3://bucket/team/ws"
    others = {workspace_path(url) for url in ("s3://bucket/ws", "gs://bucket/team/ws", "s3://team/ws")}
    assert len(others | {folder}) == 4


def test_of_two_servers_a_bucket_of_one_name_has_two_mirrors(monkeypatch):
    here = workspace_path("s3://bucket/ws")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    assert workspace_path("s3://bucket/ws") != here


def test_what_can_hold_no_workspace_is_refused():
    for url in ("ftp://host/x", "file:///x", "memory://x", "https://host/x", "s3://", "s3:///"):
        with pytest.raises(
            MissingArtifact, match=r": a workspace lies in a folder, or in a bucket at one of s3://"
        ):
            workspace_path(url)


@pytest.mark.parametrize("text", ["s3//team/x", "s3/team/x", "gs//team/x"])
def test_a_url_without_its_colon_is_no_folder(text, tmp_path, monkeypatch):
    """Fault: artifacts go to a folder of this machine, and whoever typed it believes them in the bucket."""
    monkeypatch.chdir(tmp_path)
    scheme = text[:2]
    with pytest.raises(MissingArtifact, match=rf"do you mean {scheme}://team/x\? A folder .* is written \./"):
        workspace_path(text)
    assert workspace_path(f"./{text}") == Path(text)
    (tmp_path / scheme).mkdir()
    assert workspace_path(text) == Path(text)


def test_models_take_urls():
    class Asks(BaseModel):
        workspace: Workspace

    assert shown(Asks(workspace="s3://bucket/ws").workspace) == "s3://bucket/ws"
    assert Asks(workspace="ws").workspace == Path("ws")
    asked = Asks(workspace="s3://bucket/ws")
    assert Asks.model_validate_json(asked.model_dump_json()) == asked
    assert url_of("s3://bucket/ws/") == "s3://bucket/ws"
    with pytest.raises(ValidationError, match="a workspace lies in a folder"):
        Asks(workspace="ftp://host/x")
    assert Asks.model_json_schema()["properties"]["workspace"]["format"] == "path"
