"""Two processes that train together, for tests: a worker file that both run, and what each of them found."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
import torch.distributed

from segspade_core.training.distributed import is_first


class FolderStore:
    """Checkpoints that all processes see."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, name: str) -> bytes | None:
        path = self.folder / name
        return path.read_bytes() if path.exists() else None

    def save(self, name: str, content: bytes) -> None:
        assert is_first(), "another process than the first saves"
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_bytes(content)


def load_worker(path: Path) -> ModuleType:
    """A worker file as a module, for the test to do the same alone."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def found_by_two(worker: Path, folder: Path) -> list[dict[str, Any]]:
    """What each of two processes found; they do all of it at once, since they take seconds to start."""
    command = [sys.executable, "-W", "error", str(worker)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    processes = [
        subprocess.Popen(
            [*command, str(rank), str(folder)], env=environment, stderr=subprocess.PIPE, text=True
        )
        for rank in (0, 1)
    ]
    try:
        written = [process.communicate(timeout=480)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], "\n".join(written)
    return [torch.load(folder / f"found {rank}.pt") for rank in (0, 1)]


def work_in_group(work: Callable[[int, Path], dict[str, Any]]) -> None:
    """What `python FILE RANK FOLDER` of a worker runs: join the other, work, and leave what was found."""
    rank, folder = int(sys.argv[1]), Path(sys.argv[2])
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder / 'meeting'}", rank=rank, world_size=2
    )
    found = work(rank, folder)
    torch.distributed.destroy_process_group()
    torch.save(found, folder / f"found {rank}.pt")
