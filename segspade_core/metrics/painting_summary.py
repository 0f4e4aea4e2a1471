"""From looks at painted images to the tables of the scores artifact."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import pandas as pd

from segspade_core.config import QualityConfig
from segspade_core.metrics.painting import PHOTOGRAPHS, Looks, PairScore
from segspade_core.metrics.painting_names import ABOUT, PAINTINGS, ScoreName
from segspade_core.metrics.painting_scores import (
    PaintingScore,
    inception_scores,
    pair_scores,
    segmenter_scores,
)

_SPLITS = ("train", "val", "test")
_COLUMNS = ["split", "painting", "score", "better", *(each.name for each in fields(PaintingScore))]


@dataclass(frozen=True)
class PaintingScores:
    """Content of a scores artifact on painted images.

    Attributes:
        summary: split → painting → what, samples, and score → PaintingScore; JSON-able.
        table: the same, a row a score.
        per_sample: a row a split, painting and sample; PSNR is inf where both images are identical.
    """

    summary: dict[str, Any]
    table: pd.DataFrame
    per_sample: pd.DataFrame


def summarise_painting(
    looks: Looks, config: QualityConfig, size: tuple[int, int], segmenter: str
) -> PaintingScores:
    """Make the scores of every split and painting.

    Args:
        looks: the sum over all shards, in their order.
        config: `inception` and `lpips` are 'sha256:…' of what looked, or 'none'.
        size: (H, W) of the images.
        segmenter: whose features were compared, such as 'segmenter/0123…'.
    """
    summary: dict[str, Any] = {}
    rows: list[dict[str, Any]] = []
    present = {(pair.split, pair.painting) for pair in looks.pairs}
    for split in sorted({split for split, _ in present}, key=_rank):
        for painting, what in PAINTINGS.items():
            if (split, painting) not in present:
                continue
            pairs = [pair for pair in looks.pairs if (pair.split, pair.painting) == (split, painting)]
            scores = _scores(looks, pairs, config, size, segmenter)
            summary.setdefault(split, {})[painting] = {
                "what": what,
                "samples": len(pairs),
                "scores": {name: asdict(score) for name, score in scores.items()},
            }
            where = {"split": split, "painting": painting}
            rows += [where | _row(name, score) for name, score in scores.items()]
    table = pd.DataFrame(rows, columns=pd.Index(_COLUMNS)).astype({"value": "float64"})
    return PaintingScores(summary, table, _sample_table(looks.pairs))


def _scores(
    looks: Looks, pairs: Sequence[PairScore], config: QualityConfig, size: tuple[int, int], segmenter: str
) -> dict[ScoreName, PaintingScore]:
    split, painting = pairs[0].split, pairs[0].painting
    text = f"{size[0]}x{size[1]}"
    seen = looks.features
    by_inception = [seen.get((split, images, "inception")) for images in (PHOTOGRAPHS, painting)]
    by_segmenter = [seen[split, images, "segmenter"] for images in (PHOTOGRAPHS, painting)]
    return {
        **inception_scores(by_inception[0], by_inception[1], len(pairs), text, config),
        **segmenter_scores(by_segmenter[0], by_segmenter[1], segmenter, text, config),
        **pair_scores(pairs, segmenter, size, config),
    }


def _rank(split: str) -> tuple[int, str]:
    return (_SPLITS.index(split) if split in _SPLITS else len(_SPLITS), split)


def _row(name: ScoreName, score: PaintingScore) -> dict[str, Any]:
    settings = json.dumps(score.settings, sort_keys=True, ensure_ascii=False)
    return {"score": name, "better": ABOUT[name].better, **asdict(score), "settings": settings}


def _sample_table(pairs: Sequence[PairScore]) -> pd.DataFrame:
    order = list(PAINTINGS)
    rows = sorted(pairs, key=lambda pair: (_rank(pair.split), order.index(pair.painting), pair.id))
    names = [each.name for each in fields(PairScore)]
    table = pd.DataFrame([asdict(pair) for pair in rows], columns=pd.Index(names))
    table.loc[table["identical"].astype(bool), "psnr_db"] = math.inf
    numbers = ["ssim", "psnr_db", "lpips", "segmenter_difference"]
    return table.astype({**dict.fromkeys(numbers, "float64"), "identical": "bool"})
