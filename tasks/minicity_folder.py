"""Draw a Minicity into a folder of the user's, on every core. Needs no Prefect and no workspace."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity import INDEX_FILE, draw_frame, sample_of, write_frame, write_index
from segspade_core.errors import InputError
from tasks.progress import progress

_FRAMES_A_JOB = 8


def draw_folder(config: MinicityConfig, out: Path) -> None:
    """Draw a city below `out`. Frames that are there already are drawn again, to the same bytes.

    Raises:
        InputError: `out` is a file, cannot be written, or holds frames of another city.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{out}: cannot draw there ({error.strerror}); give another folder") from error
    _refuse_another_city(config, out)
    jobs = [
        (config, split, start, min(start + _FRAMES_A_JOB, count), out)
        for split, count in (("train", config.train), ("val", config.val))
        for start in range(0, count, _FRAMES_A_JOB)
    ]
    # spawned, not forked: the parent may hold threads and locks that a fork would copy half
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context) as pool, progress("draw", config.train + config.val) as bar:
        try:
            for job in as_completed([pool.submit(_draw, *job) for job in jobs]):
                bar.advance(job.result())
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    # last: a folder with an index is whole
    write_index(config, out)


def _refuse_another_city(config: MinicityConfig, out: Path) -> None:
    """Two cities in one folder would be ingested as one."""
    index = out / INDEX_FILE
    other = f"{out}: holds another city; give another folder, or delete this one first"
    if index.exists():
        try:
            drawn = MinicityConfig.model_validate(json.loads(index.read_bytes())["config"])
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{index}: not the index of a drawn city; delete the folder first") from error
        if drawn != config:
            raise InputError(f"{other} ({index.name}: {drawn.train} + {drawn.val} frames, seed {drawn.seed})")
    counts = {"train": config.train, "val": config.val}
    own = {sample_of(config, split, index).id for split, count in counts.items() for index in range(count)}
    for photo in sorted((out / "leftImg8bit").glob("*/*/*_leftImg8bit.png")):
        if photo.name.removesuffix("_leftImg8bit.png") not in own:
            raise InputError(f"{other} ({photo.relative_to(out)})")


def _draw(config: MinicityConfig, split: str, start: int, stop: int, out: Path) -> int:
    for index in range(start, stop):
        write_frame(draw_frame(config, split, index), split, out)
    return stop - start
