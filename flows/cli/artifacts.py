"""`segspade artifacts` and `export`: what the store holds. They need neither Prefect nor torch."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from flows.cli.errors import reporting_errors
from flows.cli.options import (
    WORKSPACE,
    JsonOption,
    WorkspaceOption,
    config_of_options,
    existing_workspace,
    print_json,
)
from segspade_core.config import PictureConfig
from segspade_core.errors import InputError
from storage.aliases import Aliases
from storage.errors import DamagedArtifact
from storage.manifest import Manifest
from storage.places import shown
from storage.refs import KINDS, ArtifactRef
from storage.store import Store

artifacts = typer.Typer(help="What the workspace holds.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="kind/key, the beginning of a key, or kind/alias")]


@artifacts.command("list")
def list_artifacts(
    kind: Annotated[str | None, typer.Argument(help="only this kind, such as segmenter")] = None,
    workspace: WorkspaceOption = WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Every artifact, oldest first."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        if kind not in (None, *KINDS):
            raise InputError(f"'{kind}' is no kind of artifact; the kinds are {', '.join(KINDS)}")
        manifests, damaged = _readable(store, kind)
        names = _names(workspace)
        if json:
            print_json([_brief(each) | {"named": names.get((each.kind, each.key), [])} for each in manifests])
            _tell_damaged(damaged)
            return
        if not manifests and not damaged:
            Console(stderr=True).print(
                f"{shown(workspace)} holds no {kind or 'artifacts'} yet; `segspade demo` makes some",
                soft_wrap=True,
            )
            return
        # as tight as 80 columns need it: half a key is of no use
        table = Table("kind", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column("key", no_wrap=True)
        table.add_column("made (UTC)", no_wrap=True)
        table.add_column("seconds", justify="right")
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("named")
        for manifest in manifests:
            size = sum(file.bytes for file in manifest.files)
            named = ", ".join(names.get((manifest.kind, manifest.key), ()))
            made = str(manifest.created)[:16].replace("T", " ")
            table.add_row(
                manifest.kind, manifest.key, made, f"{manifest.seconds:.1f}", human_bytes(size), named
            )
        Console().print(table)
        _tell_damaged(damaged)


@artifacts.command()
def show(name: Name, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """The manifest of one artifact: what it was made of, and how."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        ref = store.resolve(name)
        manifest = store.manifest(ref)
        if json:
            print_json(manifest.model_dump(mode="json"))
            return
        console = Console()
        console.print(f"[bold]{ref}[/bold]  {store.shown(ref)}", highlight=False, soft_wrap=True)
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for field in ("stage", "revision", "created", "seconds", "device", "git_commit"):
            table.add_row(field, escape(str(getattr(manifest, field))))
        width = max(console.width - 14, 20)  # beside the names of the fields
        for field in ("inputs", "config", "counts", "metrics", "packages"):
            table.add_row(field, escape(_as_yaml(getattr(manifest, field), width)))
        console.print(table)
        size = sum(file.bytes for file in manifest.files)
        console.print(f"{len(manifest.files)} files, {human_bytes(size)}")


def _as_yaml(value: Any, width: int) -> str:
    """As YAML; what does not fit into `width` goes on deeper than it began, so that levels stay visible."""
    wrapped: list[str] = []
    for line in yaml.safe_dump(value, sort_keys=False, width=float("inf")).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        wrapped += textwrap.wrap(line, width, subsequent_indent=indent, break_on_hyphens=False)
    return "\n".join(wrapped)


@artifacts.command()
def lineage(name: Name, workspace: WorkspaceOption = WORKSPACE, json: JsonOption = False) -> None:
    """What an artifact was made from, back to the source."""
    with reporting_errors():
        store = Store(existing_workspace(workspace))
        ref = store.resolve(name)
        if json:
            print_json([_brief(store.manifest(r)) for r in store.lineage(ref) if store.exists(r)])
            return
        Console().print(_lineage_tree(store, ref, set(), None))


def _lineage_tree(store: Store, ref: ArtifactRef, seen: set[str], role: str | None) -> Tree:
    label = f"[bold]{ref.kind}[/bold]/{ref.key}" + (f"  [dim]{role}[/dim]" if role else "")
    if not store.exists(ref):
        return Tree(f"{label}  [red]not here[/red]")
    if str(ref) in seen:
        return Tree(f"{label}  [dim]as above[/dim]")
    seen.add(str(ref))
    tree = Tree(label)
    for name, text in store.manifest(ref).inputs.items():
        kind, key = text.split("/", 1)
        if kind == "source":
            tree.add(f"[dim]source files {key}[/dim]")
        else:
            tree.add(_lineage_tree(store, ArtifactRef(kind=kind, key=key), seen, name))
    return tree


def export(
    name: Name,
    out: Annotated[Path, typer.Argument(help="folder to write into; made when missing")],
    split: Annotated[list[str] | None, typer.Option(help="only this split; repeatable")] = None,
    form: Annotated[
        list[str] | None, typer.Option("--as", help="of a model: onnx, torch (torch.export); repeatable")
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(metavar="HEIGHTxWIDTH", help="that the model will take [that of its training]"),
    ] = None,
    workspace: WorkspaceOption = WORKSPACE,
) -> None:
    """Write an artifact's samples as PNG (photographs, ids, colours, overlay); of others, their files.

    A model is written for other programs with --as: 'segmenter/shipped' and 'generator/shipped' name those
    that come with the project.
    """
    with reporting_errors():
        if form or size:
            _export_model(name, out, form or [], size, workspace)
            return
        ref = Store(existing_workspace(workspace)).resolve(name)
        from tasks.exporting import export_artifact

        count = export_artifact(workspace, ref, out, split)
        typer.echo(f"wrote {count} files to {out}")


def _export_model(name: str, out: Path, forms: list[str], size: str | None, workspace: Path) -> None:
    wrong = sorted(set(forms) - {"onnx", "torch"})
    if wrong or not forms:
        raise InputError(f"--as {wrong[0] if wrong else '(nothing)'}: a model is written as onnx or as torch")
    config = config_of_options(PictureConfig, size=size)
    kind, _, short = name.partition("/")
    ref = None
    if not (short == "shipped" and kind in ("segmenter", "generator")):
        ref = Store(existing_workspace(workspace)).resolve(name, kinds=("segmenter", "generator"))
        kind = ref.kind
    from tasks.portable import export_model

    written = export_model(workspace, kind, ref, out, forms, config.size)  # type: ignore[arg-type]
    console = Console(soft_wrap=True, highlight=False)
    console.print(f"wrote {', '.join(path.name for path in written.files)} to {out}")
    for output, difference in written.differences.items():
        unit = "of them differ" if output in ("label_ids", "photograph") else "at most"
        console.print(f"ONNX Runtime against torch, {output}: {difference:.1e} {unit}")


def _readable(store: Store, kind: str | None) -> tuple[list[Manifest], list[DamagedArtifact]]:
    """Every manifest, oldest first; and what is wrong with those that cannot be read."""
    manifests, damaged = [], []
    for ref in store.refs(kind):
        try:
            manifests.append(store.manifest(ref))
        except DamagedArtifact as error:
            damaged.append(error)
    return sorted(manifests, key=lambda manifest: (manifest.created, manifest.key)), damaged


def _tell_damaged(damaged: list[DamagedArtifact]) -> None:
    """One damaged artifact must not hide the others: it is told after them."""
    if damaged:
        raise DamagedArtifact("\n".join(map(str, damaged)))


def _brief(manifest: Manifest) -> dict[str, Any]:
    fields = manifest.model_dump(mode="json", exclude={"files", "packages"})
    return {**fields, "bytes": sum(file.bytes for file in manifest.files)}


def _names(workspace: Path) -> dict[tuple[str, str], list[str]]:
    names: dict[tuple[str, str], list[str]] = {}
    for kind, name, key in Aliases(workspace).list():
        names.setdefault((kind, key), []).append(name)
    return names


def human_bytes(count: float) -> str:
    """A number of bytes as people read it."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
