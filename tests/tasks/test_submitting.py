"""What is submitted is found, and scored, by the official evaluation itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling import getPrediction
from handmade import SIZE, commit, photographs, predictions
from PIL import Image

from segspade_core.datasets.submission import submission_name, submission_png
from segspade_core.errors import InputError
from storage.refs import ArtifactRef
from storage.store import Store
from storage.tables import write_table
from tasks.submitting import Submission, write_submission

COUNT = 18  # more than a batch
IDS = [f"lindau_{row:06}_000019" for row in range(COUNT)]


def named(split: str, ids: list[str]) -> Any:
    """Put other ids in place of those that a split is given by hand."""
    return lambda folder: write_table(folder / f"{split}.samples.parquet", pd.DataFrame({"id": ids}))


def predict(workspace: Path, ids: list[str] = IDS, layout: str = "cityscapes", **maps: Any) -> ArtifactRef:
    arrays = {"label_ids": maps.get("label_ids", predictions(3, COUNT))}
    count = len(arrays["label_ids"])
    config, counts = {"layout": layout}, {"test": 20}
    dataset = commit(
        workspace, "dataset", splits={"test": {"image": photographs(1, 20)}}, config=config, counts=counts
    )
    return commit(
        workspace,
        "label_maps",
        splits={"test": arrays},
        write=named("test", ids[:count]),
        config={"split": "test"},
        images=dataset,
    )


def test_the_official_evaluation_finds_every_map(workspace: Path, tmp_path: Path) -> None:
    """Peer. Catches names it does not match, train ids, another size, a map under the name of another."""
    out = tmp_path / "made" / "out"
    assert write_submission(workspace, predict(workspace), out) == Submission("test", COUNT, 20)
    arguments = argparse.Namespace(predictionPath=str(out), predictionWalk=None)
    for row, (id, wanted) in enumerate(zip(IDS, predictions(3, COUNT), strict=True)):
        found = Path(getPrediction(arguments, f"/truth/{id}_gtFine_labelIds.png"))
        with Image.open(found) as image:
            assert (image.mode, image.size) == ("L", (2048, 1024))
            pixels = np.asarray(image)
        assert set(np.unique(pixels)) <= set(range(34))
        factors = 1024 // SIZE[0], 2048 // SIZE[1]
        np.testing.assert_array_equal(pixels, wanted.repeat(factors[0], 0).repeat(factors[1], 1), str(row))
    assert len(list(out.iterdir())) == COUNT
    assert [path.name for path in out.parent.iterdir()] == ["out"]


def test_nothing_is_seen_before_all_is_there(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a folder that lacks maps after Ctrl-C, and what was begun is left lying about."""
    done: list[str] = []

    def stopped(label_ids: np.ndarray, id: str) -> bytes:
        done.append(id)
        if id == IDS[17]:
            assert not (tmp_path / "out").exists()
            raise KeyboardInterrupt
        return submission_png(label_ids, id)

    monkeypatch.setattr("tasks.submitting.submission_png", stopped)
    ref = predict(workspace)
    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        write_submission(workspace, ref, tmp_path / "out")
    assert set(tmp_path.iterdir()) == before
    assert IDS[0] in done


def test_what_is_there_is_not_touched(workspace: Path, tmp_path: Path) -> None:
    ref = predict(workspace)
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"full: there is something already; give a folder that is new or"):
        write_submission(workspace, ref, full)
    with pytest.raises(InputError, match=r"mine.txt: there is something already"):
        write_submission(workspace, ref, full / "mine.txt")
    with pytest.raises(InputError, match=r"cannot write there \(Not a directory\); give another folder"):
        write_submission(workspace, ref, full / "mine.txt" / "out")
    assert [path.name for path in full.iterdir()] == ["mine.txt"]
    (tmp_path / "empty").mkdir()
    assert write_submission(workspace, ref, tmp_path / "empty").written == COUNT


def test_what_the_server_does_not_take_is_refused(workspace: Path, tmp_path: Path) -> None:
    """Fault: maps that would be scored against other frames, or not be found at all."""
    dataset = predict(workspace).model_copy(update={"kind": "dataset"})
    (dataset,) = Store(workspace).refs("dataset")
    painted = commit(workspace, "images", splits={"test": {"image": photographs(2, 2)}})
    of_painted = commit(
        workspace,
        "label_maps",
        "cycle",
        splits={"test": {"label_ids": predictions(1, 2)}},
        config={"split": "test"},
        images=painted,
    )
    out = tmp_path / "out"
    for ref, what in (
        (dataset, "no predicted label maps"),
        (of_painted, rf"maps of painted images \({painted}"),
    ):
        with pytest.raises(InputError, match=f"^{ref} holds {what}.*; submit label_maps that `segspade segm"):
            write_submission(workspace, ref, out)
    with pytest.raises(InputError, match=r"whose layout is 'camvid'; the server takes those of Cityscapes$"):
        write_submission(workspace, predict(workspace, layout="camvid"), out)
    assert not out.exists()


def test_names_and_ids_that_would_be_lost_are_refused(workspace: Path, tmp_path: Path) -> None:
    """Fault: the server says days later that a prediction is missing, or an id unknown."""
    with pytest.raises(InputError, match=r"^sample '0016E5_07050' is not named <city>_<sequence>_<frame>"):
        submission_name("0016E5_07050")
    for wrong in ("a_000001_19", "a_b_000001_000019", "../a_000001_000019", "a*_000001_000019"):
        with pytest.raises(InputError):
            submission_name(wrong)
    maps = predictions(3, 2)
    maps[1, 3, 4] = 255
    with pytest.raises(InputError, match=rf"^{IDS[1]}: label id 255 is not in label table 'cityscapes'"):
        write_submission(workspace, predict(workspace, label_ids=maps), tmp_path / "out")
    assert not (tmp_path / "out").exists()
