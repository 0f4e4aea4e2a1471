"""The database of a new Prefect server: a copy of an empty one that this machine has made before.

Prefect makes its tables by going through every migration there ever was, which takes a core 10 to 15 s. A
workspace of its own has a server of its own, so the first empty database that a version of Prefect makes is
kept beside the mirrors. Prefect looks at a copy as at any older database, and migrates what it lacks.
"""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing, suppress
from pathlib import Path

from storage.errors import StorageError
from storage.files import put_local
from storage.places import cache


def prepare_database(home: Path) -> None:
    """Give the server at `home` its database, where it has none yet and would make one there.

    Args:
        home: PREFECT_HOME of this process. Prefect is imported: its settings have to be there.
    """
    import prefect
    from prefect.settings import get_current_settings

    database = home / "prefect.db"
    url = get_current_settings().server.database.connection_url
    if database.exists() or url is None or url.get_secret_value() != f"sqlite+aiosqlite:///{database}":
        return
    template = cache() / f"prefect-{prefect.__version__}.db"
    if (empty := _whole(template)) is not None:
        put_local(database, empty)
        return
    from prefect.server.database import provide_database_interface

    asyncio.run(provide_database_interface().create_db())
    with closing(sqlite3.connect(database)) as made:
        empty = made.serialize()
    with suppress(OSError, StorageError):  # a place that cannot be written costs time alone
        put_local(template, empty)


def _whole(template: Path) -> bytes | None:
    """The bytes of a database that has nothing wrong with it; None where there is none."""
    try:
        with closing(sqlite3.connect(f"file:{template}?mode=ro&immutable=1", uri=True)) as kept:
            (verdict,) = kept.execute("PRAGMA quick_check").fetchone()
            (tables,) = kept.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return kept.serialize() if verdict == "ok" and tables else None
    except sqlite3.Error:
        return None
