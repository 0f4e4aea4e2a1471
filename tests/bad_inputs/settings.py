"""Configs that are refused: no YAML, no run, or settings that cannot be meant."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from segspade_core.config.yaml_file import MAX_BYTES

GOOD: dict[str, Any] = {
    "name": "tiny",
    "source": {"kind": "minicity", "city": {"train": 8, "val": 2, "size": "64x128"}},
    "ingest": {"layout": "minicity", "size": "64x128"},
    "segmenter": {"encoder": "resnet18", "weights": "none", "epochs": 2, "batch": 4},
    "generator": {"kind": "train", "generator": {"upsamplings": 4}, "epochs": 2},
}
RUN = "a run is a mapping of settings, as in configs/minicity.yaml"
GIVE = "give a YAML file such as configs/minicity.yaml"
NUMBER = "a finite number is wanted"


@dataclass(frozen=True)
class BadSetting:
    """One thing wrong with the YAML of a run, and what the user is told; `{file}` is its path."""

    name: str
    content: bytes
    message: str
    on_disk: Callable[[Path], Any] | None = None  # in place of writing the content


def text(change: Callable[[str], str]) -> bytes:
    """The good run's YAML, changed as text."""
    return change(yaml.safe_dump(GOOD)).encode()


def changed(key: str, value: Any) -> bytes:
    """The good run with one setting another; `key` is as after --set."""
    document = yaml.safe_load(yaml.safe_dump(GOOD))
    *parents, last = key.split(".")
    at = document
    for parent in parents:
        at = at.setdefault(parent, {})
    at[last] = value
    return yaml.safe_dump(document).encode()


def setting(name: str, key: str, value: Any, what: str) -> BadSetting:
    """A case of one setting; `what` comes after the file."""
    return BadSetting(name, changed(key, value), f"{{file}}: {what}")


def laughs(merged: bool) -> bytes:
    """A thousand million lines of laughter, in ten lines that name each other."""
    lines = ["a0: &a0 {x: lol}" if merged else "a0: &a0 [lol]"]
    for level in range(1, 10):
        names = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} " + (f"{{<<: [{names}]}}" if merged else f"[{names}]"))
    return "\n".join(lines).encode()


def _file(name: str, content: bytes, what: str, on_disk: Callable[[Path], Any] | None = None) -> BadSetting:
    return BadSetting(name, content, f"{{file}}: {what}", on_disk)


FILES = (
    _file("missing file", b"", f"cannot be read (No such file or directory); {GIVE}", lambda file: None),
    _file("folder for a file", b"", f"cannot be read (Is a directory); {GIVE}", Path.mkdir),
    _file("empty file", b"", f"is empty; {RUN}"),
    _file("comments alone", b"# nothing\n", f"is empty; {RUN}"),
    _file("list for a mapping", b"- name: tiny\n", f"is a list; {RUN}"),
    _file("word for a mapping", b"minicity\n", f"is a single value; {RUN}"),
    _file(
        "two documents",
        text(lambda good: f"{good}---\n{good}"),
        "not YAML (a second document begins, line 21; a run is one)",
    ),
    _file(
        "binary file",
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        "is no text in UTF-8 (byte 0); save it as UTF-8",
    ),
    _file("zeros", bytes(4096), f"is no text; {GIVE}"),
    _file(
        "Latin-1", "name: m\xfcnchen\n".encode("latin-1"), "is no text in UTF-8 (byte 7); save it as UTF-8"
    ),
    _file("control characters", b"name: \x07\n", "not YAML (a character that YAML does not take, line 1)"),
    _file(
        "a file too long",
        b"#" * (MAX_BYTES + 1),
        f"has more than {MAX_BYTES} bytes, which no run has; see whether it is one",
    ),
    _file("tabs", b"name: tiny\ningest:\n\tsize: 64x128\n", "not YAML (a tab, line 3; indent with spaces)"),
    _file(
        "brackets left open",
        b"ingest: {size: 64x128\n",
        "not YAML (expected ',' or '}}', but got '<stream end>', line 2)",
    ),
    _file(
        "no space after a colon",
        b"name:tiny\nsource: {}\n",
        "not YAML (a colon where none can be, line 2; there is a space after each, and "
        "each has a line of its own)",
    ),
    _file(
        "key twice",
        text(lambda good: good + "name: other\n"),
        "line 21: 'name' is there twice; keep one of them",
    ),
    _file(
        "key twice within",
        b"segmenter: {epochs: 2, batch: 4, epochs: 20}\n",
        "line 1: 'epochs' is there twice; keep one of them",
    ),
    _file(
        "number for a name of a setting",
        b"1: 2\n",
        "'1' is no name of a setting; quote it if it is meant to be one",
    ),
    _file("list for a name of a setting", b"? [a, b]\n: 2\n", "not YAML (found unhashable key, line 1)"),
    _file(
        "a thousand million laughs",
        laughs(merged=False),
        "stands for more than 20,000 values; write aliases (*) out",
    ),
    _file(
        "laughs that are merged",
        laughs(merged=True),
        "stands for more than 20,000 values; write aliases (*) out",
    ),
    _file("alias of itself", b"name: &a [*a]\n", "stands for more than 20,000 values; write aliases (*) out"),
    _file("alias of nothing", b"name: *tiny\n", "not YAML (found undefined alias 'tiny', line 1)"),
    _file(
        "thousands of brackets",
        b"[" * 50_000,
        "has values within values within values; settings are a few deep",
    ),
    _file(
        "date that is none",
        b"name: 2024-13-45\n",
        "line 1: '2024-13-45' cannot be read as timestamp; quote it if it is a word",
    ),
    _file(
        "number of ten thousand digits",
        b"name: " + b"9" * 10_000,
        f"line 1: '{'9' * 120}…' cannot be read as int; quote it if it is a word",
    ),
    _file(
        "number in sixties without end",
        b"name: " + b"1:" * 5000 + b"1\n",
        "line 1: a number larger than any setting takes; quote it if it is a word",
    ),
    _file(
        "half a character",
        b'name: "\\ud800"\n',
        "line 1: has half a character (\\ud800 to \\udfff); write the character itself",
    ),
    _file(
        "object of Python's",
        b"name: !!python/object/apply:os.system [ls]\n",
        "not YAML (a tag (!) that no setting has, line 1)",
    ),
    _file(
        "nothing as a number",
        b"name: !!int ''\n",
        "line 1: '' cannot be read as int; quote it if it is a word",
    ),
    _file(
        "truth that is none",
        b"name: !!bool maybe\n",
        "line 1: 'maybe' cannot be read as bool; quote it if it is a word",
    ),
)

SETTINGS = (
    setting("NaN", "segmenter.optimiser.lr", math.nan, f"segmenter.optimiser.lr: {NUMBER} (given: nan)"),
    setting("infinity", "generator.lr_generator", math.inf, f"generator.lr_generator: {NUMBER} (given: inf)"),
    setting("NaN in a list", "generator.betas", [math.nan, 0.9], f"generator.betas.0: {NUMBER} (given: nan)"),
    setting("NaN as a word", "generator.losses.kl", "nan", f"generator.losses.kl: {NUMBER} (given: 'nan')"),
    setting(
        "yes for a number",
        "segmenter.batch",
        True,
        "segmenter.batch: a whole number is wanted (given: 'true')",
    ),
    setting(
        "word for a number",
        "segmenter.epochs",
        "many",
        "segmenter.epochs: a whole number is wanted (given: 'many')",
    ),
    setting(
        "half an epoch", "segmenter.epochs", 2.5, "segmenter.epochs: a whole number is wanted (given: 2.5)"
    ),
    setting(
        "list for a number", "segmenter.batch", [4], "segmenter.batch: a whole number is wanted (given: [4])"
    ),
    setting(
        "number for settings",
        "segmenter",
        5,
        "segmenter: settings of its own are wanted, such as segmenter: {{...}} (given: 5)",
    ),
    setting(
        "list for settings",
        "ingest",
        ["minicity"],
        "ingest: settings of its own are wanted, such as ingest: {{...}} (given: ['minicity'])",
    ),
    setting(
        "nothing for settings",
        "ingest",
        None,
        "ingest: settings of its own are wanted, such as ingest: {{...}} (given: None)",
    ),
    setting("word for a list", "ingest.splits", "train", "ingest.splits: a list is wanted: [train]"),
    setting(
        "negative epochs",
        "segmenter.epochs",
        -1,
        "segmenter.epochs: Input should be greater than or equal to 1 (given: -1)",
    ),
    setting(
        "no batch",
        "segmenter.batch",
        0,
        "segmenter.batch: Input should be greater than or equal to 1 (given: 0)",
    ),
    setting(
        "negative limit",
        "evaluate.limit",
        {"val": -3},
        "evaluate.limit.val: Input should be greater than or equal to 1 (given: -3)",
    ),
    setting(
        "number larger than any",
        "segmenter.seed",
        10**40,
        "segmenter: seed: whole numbers lie between -9223372036854775807 and 9223372036854775807",
    ),
    setting(
        "negative size",
        "ingest.size",
        "-64x128",
        "ingest.size: size '-64x128' is not HEIGHTxWIDTH, such as 256x512 (given: '-64x128')",
    ),
    setting(
        "size of one side",
        "ingest.size",
        64,
        "ingest.size: a size is HEIGHTxWIDTH, such as 256x512 (given: 64)",
    ),
    setting(
        "size of words",
        "ingest.size",
        ["high", "wide"],
        "ingest.size: a size is HEIGHTxWIDTH, such as 256x512 (given: ['high', 'wide'])",
    ),
    setting(
        "size of fractions",
        "ingest.size",
        [64.5, 128],
        "ingest.size: a size is HEIGHTxWIDTH, such as 256x512 (given: [64.5, 128])",
    ),
    setting(
        "size of three sides",
        "ingest.size",
        "64x128x3",
        "ingest.size: size '64x128x3' is not HEIGHTxWIDTH, such as 256x512 (given: '64x128x3')",
    ),
    setting(
        "size of no pixels",
        "ingest.size",
        "0x128",
        "ingest.size: size 0x128: each side must lie between 8 and 16384 pixels (given: '0x128')",
    ),
    setting(
        "size of a million",
        "ingest.size",
        "1000000x1000000",
        "ingest.size: size 1000000x1000000: each side must lie between 8 and 16384 "
        "pixels (given: '1000000x1000000')",
    ),
    setting(
        "size not divisible",
        "ingest.size",
        "60x128",
        "ingest.size 60x128 does not suit a generator of 4 upsamplings: both sides must be multiples of 16",
    ),
    setting(
        "crop larger than the frame",
        "segmenter.augment.crop",
        "128x128",
        "segmenter.augment.crop 128x128 is larger than the photographs, 64x128: every "
        "sample would have a rim of nothing; make it smaller, or leave it out for whole "
        "frames",
    ),
    setting(
        "crop larger than the zoomed frame",
        "segmenter.augment",
        {"crop": "256x256", "scale": [0.5, 2.0]},
        "segmenter.augment.crop 256x256 is larger than the photographs, 64x128 at the "
        "largest zoom, 2: every sample would have a rim of nothing; make it smaller, or "
        "leave it out for whole frames",
    ),
    setting(
        "generator's crop larger than the frame",
        "generator.crop",
        "64x256",
        "generator.crop 64x256 is larger than the photographs, 64x128; make it smaller, "
        "or ingest at a larger size",
    ),
    setting(
        "range the wrong way round",
        "segmenter.augment.scale",
        [2.0, 0.5],
        "segmenter.augment.scale: a range is [least, most]: [0.5, 2] (given: [2.0, 0.5])",
    ),
    setting("unknown key", "reprot", {}, "reprot: there is no such setting; did you mean 'report'?"),
    setting(
        "unknown key within",
        "segmenter.epoch",
        3,
        "segmenter.epoch: there is no such setting (given: 3); did you mean 'epochs'?",
    ),
    setting(
        "unknown key deep within",
        "segmenter.optimiser.weight_decey",
        0.1,
        "segmenter.optimiser.weight_decey: there is no such setting (given: 0.1); did "
        "you mean 'weight_decay'?",
    ),
    setting(
        "unknown key of another place",
        "epochs",
        3,
        "epochs: there is no such setting (given: 3); did you mean 'segmenter.epochs'?",
    ),
    setting(
        "unknown key like no other", "segmenter.zzz", 3, "segmenter.zzz: there is no such setting (given: 3)"
    ),
    setting(
        "unknown kind",
        "segmenter.optimiser",
        {"kind": "lion"},
        "segmenter.optimiser.kind: there are 'adam', 'adamw', 'sgd' (given: 'lion')",
    ),
    setting("no kind", "source", {"path": "data"}, "source: say which `kind` it is: 'minicity', 'path'"),
    setting(
        "setting of another kind",
        "segmenter.optimiser",
        {"kind": "sgd", "eps": 1e-8},
        "segmenter.optimiser.eps: there is no such setting (given: 1e-08)",
    ),
    setting(
        "unknown layout",
        "ingest.layout",
        "kitti",
        "ingest.layout: Input should be 'cityscapes', 'camvid' or 'minicity' (given: 'kitti')",
    ),
    setting(
        "unknown encoder",
        "segmenter.encoder",
        "resnet35",
        "segmenter.encoder: there is no encoder 'resnet35'; the nearest are resnet50, "
        "resnet34, tu-resnetrs350. Names are those of segmentation-models-pytorch, such "
        "as resnet34 or mit_b0, those of timm after 'tu-', and efficientnet-lite0 "
        "(given: 'resnet35')",
    ),
    setting(
        "unknown split",
        "ingest.splits",
        ["train", "valid"],
        "ingest.splits.1: Input should be 'train', 'val' or 'test' (given: 'valid')",
    ),
    setting("no split", "ingest.splits", [], "ingest.splits: a list of one or more is wanted (given: [])"),
    setting(
        "split that is not ingested",
        "evaluate.splits",
        ["test"],
        "evaluate.splits names ['test'], which ingest.splits does not ingest",
    ),
    setting(
        "name with a slash",
        "name",
        "../tiny",
        "name: String should match pattern '^[a-z0-9][a-z0-9._-]*$' (given: '../tiny')",
    ),
    setting(
        "a value of a thousand letters",
        "ingest.layout",
        "x" * 1000,
        "ingest.layout: Input should be 'cityscapes', 'camvid' or 'minicity' (given: "
        "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…)",
    ),
)
CASES = (*FILES, *SETTINGS)
