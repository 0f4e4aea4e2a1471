"""A stage whose code changed has to choose: other results, a higher REVISION; the same, a new digest.

    python tests/tasks/test_revisions.py     # renews revisions.json, once the choice is made

The digest of a stage is over its tasks module and every module of the core that this one leads to, without
comments and docstrings. Configs are left out: what they hold enters the artifact's key itself.
"""

from __future__ import annotations

import ast
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TABLE = Path(__file__).with_name("revisions.json")
# stage → (module with its revision, its name there, modules of tasks that run it, where the core is entered)
STAGES = {
    "minicity": ("drawing", "REVISION", ("drawing",), ()),
    "ingest": ("ingesting", "REVISION", ("ingesting",), ()),
    "train-segmenter": (
        "training",
        "SEGMENTER_REVISION",
        ("training_process",),
        ("segspade_core.segmentation.train",),
    ),
    "train-generator": (
        "training",
        "GENERATOR_REVISION",
        ("training_process",),
        ("segspade_core.spade.train",),
    ),
    "import-generator": ("importing", "REVISION", ("importing",), ()),
    "describe": ("describing", "REVISION", ("describing",), ()),
    "drift": ("drifting", "REVISION", ("drifting",), ()),
    "decide": ("deciding", "REVISION", ("deciding",), ()),
    "segment": ("segmenting", "REVISION", ("segmenting", "splits"), ()),
    "synthesize": ("synthesizing", "REVISION", ("synthesizing", "splits"), ()),
    "score": ("scoring", "REVISION", ("scoring", "judges"), ()),
    "cycle-depth": ("cycle_depth", "REVISION", ("cycle_depth",), ()),
    "report": ("reporting", "REVISION", ("reporting", "frames"), ()),
}
# they change no result: settings are in the key, and messages are only read
LEFT_OUT = ("segspade_core.config", "segspade_core.errors")


def digest(tasks: tuple[str, ...], enter: tuple[str, ...], root: Path = ROOT) -> str:
    """Over the code of some tasks modules and of all of the core they lead to, or that `enter` leads to."""
    own = [f"tasks.{name}" for name in tasks]
    todo = list(enter) or [found for module in own for found in _imports(module, root)]
    seen = set(own)
    while todo:
        module = todo.pop()
        if module not in seen and not module.startswith(LEFT_OUT):
            seen.add(module)
            todo += _imports(module, root)
    total = hashlib.sha256()
    for module in sorted(seen):
        total.update(f"{module}\n{_code(module, root)}\n".encode())
        for template in sorted(_file(module, root).parent.glob("templates/*")):
            total.update(template.read_bytes())
    return total.hexdigest()[:16]


def _file(module: str, root: Path) -> Path:
    path = root.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _code(module: str, root: Path) -> str:
    tree = ast.parse(_file(module, root).read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:]  # type: ignore[attr-defined]
        # the number that says that results changed is not itself a change
        if isinstance(node, ast.Assign) and any("REVISION" in ast.unparse(name) for name in node.targets):
            node.value = ast.Constant(0)
    return ast.dump(tree)


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imports(module: str, root: Path) -> Iterator[str]:
    """Modules of the core that a module takes something from, also within its functions."""
    for node in ast.walk(ast.parse(_file(module, root).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("segspade_core"))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("segspade_core"):
            yield from (_home(str(node.module), alias.name, root) for alias in node.names)


def _home(package: str, name: str, root: Path) -> str:
    """The module that `name` comes from, where a package only hands it on: its other parts do not count."""
    if _file(f"{package}.{name}", root).exists():
        return f"{package}.{name}"
    if root.joinpath(*package.split(".")).is_dir():
        for node in ast.walk(ast.parse(_file(package, root).read_text())):
            if isinstance(node, ast.ImportFrom) and name in (
                alias.asname or alias.name for alias in node.names
            ):
                return _home(str(node.module), name, root)
    return package


def _revision(module: str, name: str) -> int:
    for node in ast.parse(_file(f"tasks.{module}", ROOT).read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            return int(ast.literal_eval(node.value))
    raise AssertionError(f"tasks/{module}.py has no {name}")


def current() -> dict[str, dict[str, int | str]]:
    """What the table should hold by now."""
    return {
        stage: {"revision": _revision(module, name), "digest": digest(tasks, enter)}
        for stage, (module, name, tasks, enter) in STAGES.items()
    }


def test_code_and_revisions_are_those_that_were_chosen() -> None:
    kept, now = json.loads(TABLE.read_text()), current()
    changed = [stage for stage in now if kept.get(stage) != now[stage]]
    assert not changed, (
        f"the code of {', '.join(changed)} changed: raise the REVISION in tasks/ of each with other results; "
        "after that run `python tests/tasks/test_revisions.py` and commit revisions.json"
    )


def _tree(root: Path, constant: int = 1, comment: str = "", other: int = 1) -> Path:
    files = {
        "tasks/drawing.py": "def draw():\n    from segspade_core.city import frame\n    return frame()\n",
        "segspade_core/city/__init__.py": (
            "from segspade_core.city.frame import frame\nfrom segspade_core.city.other import other\n"
        ),
        "segspade_core/city/frame.py": (
            f'"""Draws. {comment}"""\nfrom segspade_core.city.deep import deep\n# {comment}\n'
            "def frame():\n    return deep()\n"
        ),
        "segspade_core/city/deep.py": f"def deep():\n    return {constant}\n",
        "segspade_core/city/other.py": f"def other():\n    return {other}\n",
    }
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def test_the_digest_follows_imports_and_ignores_words(tmp_path: Path) -> None:
    """Fault: a change two imports away is not seen, or a comment forces a choice."""

    def of(name: str, **changes: int | str) -> str:
        return digest(("drawing",), (), _tree(tmp_path / name, **changes))  # type: ignore[arg-type]

    plain = of("plain")
    assert of("comment", comment="in other words") == plain
    assert of("elsewhere", other=2) == plain
    assert of("constant", constant=2) != plain


def test_every_stage_is_in_the_table() -> None:
    planned = {
        node.value.value
        for path in (ROOT / "tasks").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.keyword) and node.arg == "stage" and isinstance(node.value, ast.Constant)
    }
    assert planned == set(STAGES)


if __name__ == "__main__":
    TABLE.write_text(json.dumps(current(), indent=2) + "\n")
    sys.stdout.write(f"renewed {TABLE}\n")
