"""What a case is, how it is written to disk, and how it is put through the real ingest."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bad_inputs.encoders import zip_of
from bad_inputs.good import SIZE, City, good
from segspade_core.config import IngestConfig
from storage.refs import ArtifactRef
from tasks.ingesting import ingest, plan_ingest
from tasks.stage import commit, making

FOLDER, ZIP = "folder", "zip"
Change = Callable[[City], Any]
OnDisk = Callable[[Path, City], Any]


def unchanged(_city: City) -> None:
    """Leaves the source as it is: what is wrong is done on disk."""


@dataclass(frozen=True)
class Case:
    """One thing wrong with a good source, and what the user is told."""

    name: str
    change: Change
    message: str  # whole, with {place}, {photo}, {label}, {instance}, {name} and the like
    layouts: tuple[str, ...] = ("cityscapes",)
    ways: tuple[str, ...] = (FOLDER, ZIP)
    on_disk: OnDisk | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)  # of IngestConfig
    unreadable: bool = False  # the photograph may not be read, by whoever runs the tests

    def told(self, place: Path, city: City) -> str:
        """The message for a source that lies there."""
        return self.message.format(place=place, **vars(city))


def one(problem: str) -> str:
    """The message of a source with a single problem."""
    return several(problem)


def several(*problems: str) -> str:
    """The message of a source with these problems, in order."""
    head = f"{{place}}: {len(problems)} problem{'s' if len(problems) != 1 else ''}, nothing was written"
    return "\n".join([head, *(f"  {problem}" for problem in problems)])


def write(city: City, folder: Path, way: str) -> Path:
    """Put a source on disk, in a folder or packed. Returns where it lies."""
    if way == ZIP:
        place = folder / "source.zip"
        place.write_bytes(zip_of(city.files))
        return place
    place = folder / "source"
    place.mkdir()
    for path, content in city.files.items():
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return place


def build(case: Case, layout: str, way: str, folder: Path) -> tuple[Path, City]:
    """A broken source on disk: where it lies, and what was put there."""
    city = good(layout)
    case.change(city)
    place = write(city, folder, way)
    if case.on_disk is not None:
        case.on_disk(place, city)
    return place, city


def config_of(layout: str, **settings: Any) -> IngestConfig:
    """Settings under which the good source is stored as it is."""
    return IngestConfig(**{"layout": layout, "size": SIZE, **settings})


def make(workspace: Path, place: Path, config: IngestConfig) -> ArtifactRef:
    """The real ingest, without Prefect around it."""
    plan = plan_ingest(workspace, place, config)
    with making(plan) as work:
        ref: ArtifactRef = commit.fn(plan, work, **ingest(plan)).ref
    return ref


def what_lies_in(folder: Path) -> dict[str, Any]:
    """Everything below a folder: kind, size, time and, of links, where they lead; nothing is followed."""
    found: dict[str, Any] = {}
    todo = [folder]
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                is_folder = entry.is_dir(follow_symlinks=False)
                size = None if is_folder else status.st_size
                leads = os.readlink(entry.path) if entry.is_symlink() else None
                found[entry.path] = (status.st_mode, size, status.st_mtime_ns, leads)
                if is_folder and len(entry.path) < 3000:
                    todo.append(Path(entry.path))
    return found


def left_behind(workspace: Path) -> list[str]:
    """Files and folders of artifacts, of staging, or half written; locks stay by design."""
    return sorted(
        str(path.relative_to(workspace))
        for path in workspace.rglob("*")
        if path.relative_to(workspace).parts[0] != "locks"
        and (not path.is_dir() or len(path.relative_to(workspace).parts) > 2)
    )
