"""A new server's database: made once on a machine, copied after that, never believed when it is damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import prefect
import pytest

from flows.server_database import _whole

pytestmark = pytest.mark.slow
SCRIPT = """
import asyncio, sys, time
from pathlib import Path
import flows.server_database as database
from prefect.server.database import interface, provide_database_interface
home = Path(sys.argv[1])
seen = []
made = interface.PrefectDBInterface.create_db
async def watched(self):
    seen.append("migrated")
    await made(self)
interface.PrefectDBInterface.create_db = watched
database.prepare_database(home)
print(seen, (home / "prefect.db").exists())
"""


def prepared(home: Path, **settings: str) -> str:
    """What SCRIPT prints of a process whose PREFECT_HOME is `home`."""
    home.mkdir(exist_ok=True)
    environment = {**os.environ, "PREFECT_HOME": str(home), **settings}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(home)], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def schema(database: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(database)) as opened:
        version = opened.execute("SELECT 'version', version_num FROM alembic_version").fetchall()
        return {*opened.execute("SELECT name, sql FROM sqlite_master").fetchall(), *version}


@pytest.mark.timeout(240)
def test_made_once_and_copied_after_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faults: a copy that lacks tables, a server's own database overwritten, a damaged template believed."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("SEGSPADE_CACHE", str(cache))
    template = cache / f"prefect-{prefect.__version__}.db"
    assert prepared(tmp_path / "first") == "['migrated'] True"
    assert prepared(tmp_path / "second") == "[] True"
    tables = schema(tmp_path / "first" / "prefect.db")
    assert len(tables) > 100
    assert schema(tmp_path / "second" / "prefect.db") == tables
    # nothing is left beside it: a copy of a database alone is one without its journal
    assert [path.name for path in cache.iterdir()] == [template.name]

    own = tmp_path / "second" / "prefect.db"
    own.write_bytes(b"a server's")
    assert prepared(tmp_path / "second") == "[] True"
    assert own.read_bytes() == b"a server's"

    elsewhere = f"sqlite+aiosqlite:///{tmp_path}/elsewhere.db"
    assert prepared(tmp_path / "third", PREFECT_API_DATABASE_CONNECTION_URL=elsewhere) == "[] False"

    whole = template.read_bytes()
    template.write_bytes(whole[: len(whole) // 2])
    assert prepared(tmp_path / "fourth") == "['migrated'] True"
    # not to the letter: Prefect's migrations write foreign keys in an order that differs between runs
    again = schema(tmp_path / "fourth" / "prefect.db")
    assert again == schema(template)
    assert {name for name, _ in again} == {name for name, _ in tables}


@pytest.mark.parametrize("content", [b"", b"no database", None])
def test_what_is_no_database_is_not_copied(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.db"
    if content is not None:
        path.write_bytes(content)
    assert _whole(path) is None
