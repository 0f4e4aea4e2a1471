"""Seconds an ingested frame, against decoding, resizing and packing the same bytes with nothing around it.

    .venv/bin/python benchmarks/ingest.py [--photographs FOLDER] [--frames 64] [--rounds 5]

Frames are 2048x1024 with label and instance maps, in the layout of Cityscapes: as files, and in zip files.
The limit calls the fastest correct decoder, the resize rule and the codecs on bytes that are in memory. Ours
also finds and reads the files, sees that each is whole and fits the others, takes digests, and puts shards
and tables on the disk. All take turns within one run; medians are compared. Prefect's cost a shard is told
by many_tasks.py.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numcodecs import Blosc, Zstd
from PIL import Image

from segspade_core.config import IngestConfig
from segspade_core.datasets.resize import resize_area, resize_nearest
from storage.store import Store
from tasks import ingesting
from tasks.stage import commit, making

FULL = (1024, 2048)
SIZE = (512, 1024)
CONFIG = IngestConfig(layout="cityscapes", size=SIZE, splits=("train",), full_size_maps=False)


def photographs_of(folder: Path | None) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Photograph, label ids and instance ids, without end: those of pix2pixHD's folder, shifted; or drawn."""
    files = [] if folder is None else sorted((folder / "train_img").glob("*.png"))
    if folder is not None and not files:
        raise SystemExit(f"{folder}: no train_img/*.png in it")
    random = np.random.default_rng(0)
    row = 0
    while True:
        if folder is not None:
            name = files[row % len(files)].name.replace("_leftImg8bit", "_gtFine_{}")
            arrays = [
                np.asarray(Image.open(files[row % len(files)]).convert("RGB")),
                np.asarray(Image.open(folder / "train_label" / name.format("labelIds"))),
                np.asarray(Image.open(folder / "train_inst" / name.format("instanceIds"))).astype(np.uint16),
            ]
        else:
            coarse = random.integers(0, 256, (33, 65, 3), dtype=np.uint8)
            smooth = np.asarray(Image.fromarray(coarse).resize(FULL[::-1], Image.Resampling.BICUBIC))
            labels = np.asarray(Image.fromarray(coarse[..., 0] % 24).resize(FULL[::-1], 0))
            image = np.clip(smooth + random.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)
            arrays = [image, labels, labels.astype(np.uint16)]
        yield tuple(np.roll(array, 16 * row, axis=1) for array in arrays)  # type: ignore[misc]
        row += 1


def write_source(folder: Path, photographs: Path | None, first: int, stop: int) -> None:
    """Frames `first` to `stop` in the official layout, packed as hard as the official ones."""
    for row, arrays in zip(range(stop), photographs_of(photographs), strict=False):
        if row < first:
            continue
        name = f"{row:06}_000019"
        for array, path in zip(
            arrays,
            (
                f"leftImg8bit/train/aachen/aachen_{name}_leftImg8bit.png",
                f"gtFine/train/aachen/aachen_{name}_gtFine_labelIds.png",
                f"gtFine/train/aachen/aachen_{name}_gtFine_instanceIds.png",
            ),
            strict=True,
        ):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / path, compress_level=6)


def frames_in(source: Path) -> Iterator[list[Path]]:
    """The three files of each frame."""
    for path in sorted((source / "leftImg8bit").rglob("*.png")):
        folder, name = source / "gtFine/train/aachen", path.name.removesuffix("_leftImg8bit.png")
        yield [path, *(folder / f"{name}_gtFine_{kind}.png" for kind in ("labelIds", "instanceIds"))]


def zipped(folder: Path, into: Path) -> Path:
    """The same source as the two official archives."""
    into.mkdir()
    for part in ("leftImg8bit", "gtFine"):
        with zipfile.ZipFile(
            into / f"{part}_trainvaltest.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1
        ) as file:
            for path in sorted((folder / part).rglob("*.png")):
                file.write(path, path.relative_to(folder))
    return into


def limit(contents: list[list[bytes]]) -> None:
    """Decode, resize and pack each frame; nothing else."""
    blosc, zstd = Blosc("lz4", 9, Blosc.NOSHUFFLE, 1 << 18), Zstd(3, checksum=True)
    for image, *maps in contents:
        blosc.encode(np.ascontiguousarray(resize_area(imagecodecs.png_decode(image), SIZE)))
        for content in maps:
            zstd.encode(np.ascontiguousarray(resize_nearest(imagecodecs.png_decode(content), SIZE)))


def ours(place: Path, workers: int, workspace: Path, earlier: Any = None) -> Any:
    """Ingest as the stage does, its parts on so many threads."""

    def map_here(part_task: Any, plan: Any, parts: Any, **columns: Any) -> list[Any]:
        calls = zip(parts, *columns.values(), strict=True)
        with ThreadPoolExecutor(workers) as threads:
            return list(threads.map(lambda call: part_task.fn(plan, *call), calls))

    ingesting.map_parts = map_here
    ingesting._opened.cache_clear()
    plan = ingesting.plan_ingest(workspace, place, CONFIG, earlier=earlier)
    with making(plan) as work:
        return commit.fn(plan, work, **ingesting.ingest(plan)).ref


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--photographs", type=Path, help="pix2pixHD's datasets/cityscapes; else they are drawn"
    )
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument(
        "--new", type=int, default=4, help="frames that come later, for the incremental ingest"
    )
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "files"
        write_source(source, options.photographs, 0, options.frames)
        archives = zipped(source, folder / "zips")
        contents = [[path.read_bytes() for path in files] for files in frames_in(source)]
        tries: dict[str, Callable[[Path], Any]] = {"the limit, 1 worker": lambda _: limit(contents)}
        for workers in options.workers:
            tries[f"files, {workers} workers"] = lambda at, n=workers: ours(source, n, at)
        tries["zip files, 1 worker"] = lambda at: ours(archives, 1, at)
        taken = measured(folder, tries, options.rounds)
        best = statistics.median(taken["the limit, 1 worker"])
        print(f"{options.frames} frames of {FULL[0]}x{FULL[1]} to {SIZE[0]}x{SIZE[1]}, 3 files each")
        for form, seconds in taken.items():
            each = statistics.median(seconds) / options.frames
            print(
                f"{form:<22} {1000 * each:>7.1f} ms a frame {each * options.frames / best:>6.2f} of the limit"
            )
        workspace = folder / "growing"
        before = ours(source, 1, workspace)
        write_source(source, options.photographs, options.frames, options.frames + options.new)
        began = time.perf_counter()
        ref = ours(source, 1, workspace, before)
        seconds = time.perf_counter() - began
        assert Store(workspace).verify(ref) == []
        print(
            f"{options.new} new frames onto {options.frames}: {seconds:.2f} s, as long as the limit takes "
            f"for {seconds / best * options.frames:.1f} frames"
        )


def measured(folder: Path, tries: dict[str, Callable[[Path], Any]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every try, in turns, each in a workspace of its own."""
    taken: dict[str, list[float]] = {form: [] for form in tries}
    for _ in range(rounds):
        for form, run in tries.items():
            workspace = folder / "workspace"
            began = time.perf_counter()
            run(workspace)
            taken[form].append(time.perf_counter() - began)
            shutil.rmtree(workspace, ignore_errors=True)
    return taken


if __name__ == "__main__":
    main()
