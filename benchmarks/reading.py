"""Random samples and crops through a DataLoader of two workers: our shards against np.memmap and peers.

    .venv/bin/python benchmarks/reading.py [--photographs FOLDER] [--samples 256] [--rounds 5]

np.memmap is the limit: bytes as they are, unchecked. Ours unpack and check a checksum. All forms take turns
within one run, the workers' CPU time is counted, and medians are compared: on a busy machine ratios hold,
times do not. litdata and webdataset are measured where they are installed; the project does not need them.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset

from segspade_core.config.base import Codec
from segspade_core.datasets.resize import resize_area
from storage.arrays import open_split
from storage.shard_writing import write_shard
from storage.split_layout import create_split, shards

BATCH, WORKERS = 8, 2
CODECS: tuple[Codec, ...] = ("fast", "small", "raw")
# (image, label map), and of which pixels
Crop = tuple[slice, slice] | None
Read = Callable[[int, Crop], tuple[np.ndarray, np.ndarray]]


class Samples(Dataset[Any]):
    """What a map-style form reads: a sample, or a random crop of it."""

    def __init__(self, read: Read, count: int, size: tuple[int, int], crop: int | None) -> None:
        self.read, self.count, self.size, self.crop = read, count, size, crop

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self.read(row, crop_of(row, self.size, self.crop))


class Streamed(IterableDataset[Any]):
    """What webdataset streams, cropped; every worker its part."""

    def __init__(self, tars: list[str], size: tuple[int, int], crop: int | None) -> None:
        self.tars, self.size, self.crop = tars, size, crop

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        import webdataset

        tars = self.tars[torch.utils.data.get_worker_info().id :: WORKERS]
        stream = webdataset.WebDataset(tars, shardshuffle=False).shuffle(16)
        for row, sample in enumerate(stream):
            image, labels = (np.load(io.BytesIO(sample[name])) for name in ("image.npy", "labels.npy"))
            yield cut(image, labels, crop_of(row, self.size, self.crop))


def crop_of(row: int, size: tuple[int, int], crop: int | None) -> Crop:
    """A square within a sample: another one for each row, the same for every form."""
    if crop is None:
        return None
    random = np.random.default_rng(row)
    top, left = (int(random.integers(0, side - crop + 1)) for side in size)
    return slice(top, top + crop), slice(left, left + crop)


def cut(image: np.ndarray, labels: np.ndarray, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """Copies, as each form must hand on memory of its own."""
    where: Any = ... if crop is None else crop
    return np.array(image[where]), np.array(labels[where])


def frames_of(folder: Path | None, count: int, size: tuple[int, int]) -> Iterator[np.ndarray]:
    """`count` photographs of twice the size: those of a folder again and again, shifted; else drawn ones."""
    height, width = 2 * size[0], 2 * size[1]
    files = [] if folder is None else sorted(p for p in folder.rglob("*") if p.suffix in (".png", ".jpg"))
    random = np.random.default_rng(0)
    for row in range(count):
        if files:
            with Image.open(files[row % len(files)]) as picture:
                image = np.asarray(picture.convert("RGB").resize((width, height)))
            yield np.roll(image, 7 * row, axis=1)
            continue
        coarse = random.integers(0, 256, (height // 32 + 1, width // 32 + 1, 3), dtype=np.uint8)
        smooth = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        yield np.clip(np.asarray(smooth) + random.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)


def labels_of(row: int, size: tuple[int, int]) -> np.ndarray:
    """A label map of 40 rectangles."""
    random = np.random.default_rng(row)
    labels = np.zeros(size, np.uint8)
    for _ in range(40):
        top, left = random.integers(0, size[0]), random.integers(0, size[1])
        labels[top : top + size[0] // 4, left : left + size[1] // 6] = random.integers(0, 34)
    return labels


def write_all(
    folder: Path, photographs: Path | None, count: int, size: tuple[int, int], originals: int
) -> dict[str, int]:
    """Write the samples in every form. Returns bytes on disk by codec."""
    images = np.lib.format.open_memmap(folder / "image.npy", "w+", np.uint8, (count, *size, 3))
    labels = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.uint8, (count, *size))
    for row, frame in enumerate(frames_of(photographs, count, size)):
        images[row], labels[row] = resize_area(frame, size), labels_of(row, size)
        # of the originals a few only: their decoding takes the time, whichever they are
        if row < originals:
            Image.fromarray(frame).save(folder / f"original-{row}.png", compress_level=3)
        Image.fromarray(images[row]).save(folder / f"image-{row}.png", compress_level=3)
        Image.fromarray(labels[row]).save(folder / f"labels-{row}.png", compress_level=3)
    for array in (images, labels):
        array.flush()
    taken = {}
    for codec in CODECS:
        path = folder / f"{codec}.zarr"
        create_split(path, count, size, ("image", "label_ids"), {}, codec)
        for shard, start, stop in shards(count):
            write_shard(path, shard, {"image": images[start:stop], "label_ids": labels[start:stop]})
        taken[codec] = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return taken


def map_forms(folder: Path, originals: int, size: tuple[int, int]) -> dict[str, Read]:
    """Name → how a form reads one sample. Opened in the parent, as most scripts do."""
    import zarr

    raw = [np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image", "labels")]
    peer = zarr.open_group(folder / "fast.zarr", mode="r")
    arrays: Any = [peer["image"], peer["label_ids"]]

    def ours(codec: str) -> Read:
        split = open_split(folder / f"{codec}.zarr")
        image, labels = split["image"], split["label_ids"]

        def read(row: int, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
            if crop is None:
                return image[row], labels[row]
            window = crop[0].start, crop[1].start, crop[0].stop - crop[0].start, crop[1].stop - crop[1].start
            return image.crop(row, *window), labels.crop(row, *window)

        return read

    def png(row: int, name: str) -> np.ndarray:
        return np.asarray(Image.open(folder / f"{name}-{row}.png"))

    return {
        "np.memmap": lambda row, crop: cut(raw[0][row], raw[1][row], crop),
        **{f"ours, {codec}": ours(codec) for codec in CODECS},
        "zarr-python": lambda row, crop: cut(arrays[0][row], arrays[1][row], crop),
        "resized PNG": lambda row, crop: cut(png(row, "image"), png(row, "labels"), crop),
        "original PNG": lambda row, crop: cut(
            resize_area(png(row % originals, "original"), size), png(row, "labels"), crop
        ),
    }


def stream_forms(folder: Path, count: int) -> dict[str, Callable[..., Any]]:
    """Name → what makes a loader's dataset, of the peers that are installed; written here."""
    images, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("image", "labels"))
    forms: dict[str, Callable[..., Any]] = {}
    if importlib.util.find_spec("webdataset"):
        import webdataset

        tars = [str(folder / f"{shard:03}.tar") for shard in range(8)]
        for shard, tar in enumerate(tars):
            with webdataset.TarWriter(tar) as writer:
                for row in range(shard, count, len(tars)):
                    name = f"{row:06}"
                    writer.write(
                        {
                            "__key__": name,
                            "image.npy": np.array(images[row]),
                            "labels.npy": np.array(labels[row]),
                        }
                    )
        forms["webdataset"] = lambda size, crop: Streamed(tars, size, crop)
    if importlib.util.find_spec("litdata"):
        from litdata import StreamingDataset
        from litdata.streaming import Cache

        cache = Cache(str(folder / "litdata"), chunk_bytes=64 << 20)
        for row in range(count):
            cache[row] = {"image": np.array(images[row]), "labels": np.array(labels[row])}
        cache.done()
        cache.merge()

        class Cropped(Dataset[Any]):
            def __init__(self, size: tuple[int, int], crop: int | None) -> None:
                self.size, self.crop = size, crop
                self.stream = StreamingDataset(str(folder / "litdata"))

            def __len__(self) -> int:
                return len(self.stream)

            def __getitem__(self, row: int) -> tuple[np.ndarray, np.ndarray]:
                sample = self.stream[row]
                return cut(sample["image"], sample["labels"], crop_of(row, self.size, self.crop))

        forms["litdata"] = Cropped
    return forms


def measure(dataset: Any) -> tuple[float, float, int]:
    """CPU seconds of this process and its workers, wall seconds, samples: of an epoch in random order."""
    shuffled = not isinstance(dataset, IterableDataset)

    def cpu() -> float:
        return sum(
            usage.ru_utime + usage.ru_stime
            for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        )

    cpu_began, began, count = cpu(), time.perf_counter(), 0
    for images, _ in DataLoader(dataset, BATCH, shuffle=shuffled, num_workers=WORKERS):
        count += len(images)
    return cpu() - cpu_began, time.perf_counter() - began, count


def main() -> None:
    """Write, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photographs", type=Path, help="folder of real ones; else they are drawn")
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--size", default="512x1024", help="HxW")
    parser.add_argument("--crop", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    size, count, originals = (height, width), options.samples, min(16, options.samples)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        taken = write_all(folder, options.photographs, count, size, originals)
        reads, streams = map_forms(folder, originals, size), stream_forms(folder, count)
        for crop in (None, options.crop):
            made: dict[str, Any] = {
                form: Samples(read, count, size, crop) for form, read in reads.items()
            } | {form: make(size, crop) for form, make in streams.items()}
            cpu: dict[str, list[float]] = {form: [] for form in made}
            wall: dict[str, list[float]] = {form: [] for form in made}
            for turn in range(options.rounds + 1):
                for form, dataset in made.items():
                    if form == "original PNG" and turn > 2:
                        continue
                    spent, took, seen = measure(dataset)
                    if turn > 0:  # the first round brings the files into memory
                        cpu[form].append(spent / seen)
                        wall[form].append(took / seen)
            show(crop, size, cpu, wall)
    raw = count * height * width * 4
    print("on disk, of raw: " + ", ".join(f"{codec} {size / raw:.2f}" for codec, size in taken.items()))


def show(
    crop: int | None, size: tuple[int, int], cpu: dict[str, list[float]], wall: dict[str, list[float]]
) -> None:
    """A table: medians over the rounds."""
    what = "whole samples" if crop is None else f"crops of {crop}x{crop}"
    best, png = (statistics.median(cpu[form]) for form in ("np.memmap", "resized PNG"))
    print(f"\n{what} of {size[0]}x{size[1]}, batches of {BATCH}, {WORKERS} workers")
    print(f"{'form':<14} {'samples/CPU-s':>13} {'samples/s':>10} {'of memmap':>10} {'x PNG':>6}")
    for form, values in cpu.items():
        each = statistics.median(values)
        print(
            f"{form:<14} {1 / each:>13.0f} {1 / statistics.median(wall[form]):>10.0f} "
            f"{best / each:>10.2f} {png / each:>6.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
