"""Trained models → files for programs that know nothing of this project."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from segspade_core.errors import InputError
from segspade_core.labels import LABELS, NUM_IDS
from storage.files import put_bytes
from storage.refs import ArtifactRef
from tasks.picture_models import load_generator_of, load_segmenter_of, trained_size

if TYPE_CHECKING:
    from segspade_core.portable import Portable

Form = Literal["onnx", "torch"]
# of logits, and of images in [-1, 1]: rounding in another order, which a hundred layers pass on
TOLERANCE = 1e-3
# of ids and of 8-bit pixels: where two classes, or two grey values, are equally near
TOLERANCE_SHARE = 1e-3
_SIZE = (256, 512)


@dataclass(frozen=True)
class Written:
    """What was written, and how far ONNX Runtime was from torch: output → difference; empty without ONNX."""

    files: tuple[Path, ...]
    size: tuple[int, int]
    differences: dict[str, float]


def export_model(
    workspace: Path,
    kind: str,
    ref: ArtifactRef | None,
    out: Path,
    forms: Sequence[Form],
    size: tuple[int, int] | None,
) -> Written:
    """Write a segmenter or a generator as `<kind>.onnx` and `<kind>.pt2`, with `labels.json` beside it.

    Of a generator that knows styles or conditions `code.json` too: see `segspade_core.portable.code_parts`.

    Args:
        ref: of the artifact; None is the model that ships.
        forms: which of the two.
        size: (H, W) that it will take; None is that of its training.

    Raises:
        InputError: the model cannot work at this size; packages are missing; `out` cannot be written; or what
            was written does not compute the same, and nothing is kept of it.
        DamagedArtifact: the model's file is missing or altered.
    """
    from segspade_core.portable import (
        PortableGenerator,
        PortableSegmenter,
        as_onnx,
        as_torch_program,
        code_parts,
        compare_onnx,
    )

    at = size or trained_size(workspace, kind, ref) or _SIZE
    module: Portable
    if kind == "segmenter":
        module = PortableSegmenter(load_segmenter_of(workspace, ref))
    else:
        generator, _ = load_generator_of(workspace, ref)
        module = PortableGenerator(generator)
    contents: dict[str, bytes] = {}
    differences: dict[str, float] = {}
    if "onnx" in forms:
        about = {"segspade": f"{kind} {ref or 'shipped'}", "size": f"{at[0]}x{at[1]}"}
        contents[f"{kind}.onnx"] = as_onnx(module, at, about)
        differences = compare_onnx(module, contents[f"{kind}.onnx"], at)
        _check(differences)
    if "torch" in forms:
        contents[f"{kind}.pt2"] = as_torch_program(module, at)
    contents["labels.json"] = _labels()
    if kind == "generator" and "code" in module.names_in:
        contents["code.json"] = (json.dumps(code_parts(generator)) + "\n").encode()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot write there ({error.strerror}); give another folder") from error
    for name, content in contents.items():
        put_bytes(out / name, content)
    return Written(tuple(out / name for name in contents), at, differences)


def _check(differences: dict[str, float]) -> None:
    for name, difference in differences.items():
        limit = TOLERANCE_SHARE if name in ("label_ids", "photograph") else TOLERANCE
        if not difference <= limit:
            raise InputError(
                f"ONNX Runtime computes another {name} than torch: {difference:g} where {limit:g} is right. "
                "Nothing was written; use --as torch, and report the versions of onnx and onnxruntime"
            )


def _labels() -> bytes:
    rows = [
        {"id": each.id, "name": each.name, "train_id": each.train_id, "colour": list(each.colour)}
        for each in LABELS
        if 0 <= each.id < NUM_IDS
    ]
    return (json.dumps(rows, indent=1) + "\n").encode()
