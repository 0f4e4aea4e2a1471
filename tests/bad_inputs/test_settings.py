"""Every bad config is refused in the words of the table; odd ones that are good are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bad_inputs.settings import CASES, GOOD, BadSetting
from flows.cli.options import load_run_config
from segspade_core.errors import InputError


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "_"))
def test_it_is_refused_in_these_words(case: BadSetting, tmp_path: Path) -> None:
    """Fault: a traceback, a value that is silently taken for another, or a word that helps nobody."""
    file = tmp_path / "run.yaml"
    if case.on_disk is not None:
        case.on_disk(file)
    else:
        file.write_bytes(case.content)
    with pytest.raises(InputError) as caught:
        load_run_config(file, [])
    assert str(caught.value) == case.message.format(file=file)


@pytest.mark.parametrize(
    "content",
    [
        yaml.safe_dump(GOOD).encode("utf-8-sig"),
        yaml.safe_dump(GOOD).encode("utf-16"),
        yaml.safe_dump(GOOD).replace("\n", "\r\n").encode(),
        yaml.safe_dump(GOOD, default_flow_style=True).encode(),
        b"# a comment\n---\n" + yaml.safe_dump(GOOD).encode() + b"...\n",
        yaml.safe_dump(GOOD).replace("'64x128'", "*size").replace("*size", "&size 64x128", 1).encode(),
    ],
    ids=["BOM", "UTF-16", "CRLF", "flow style", "markers", "alias"],
)
def test_odd_files_that_are_good_are_read(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "run.yaml").write_bytes(content)
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump(GOOD))
    assert load_run_config(tmp_path / "run.yaml", []) == load_run_config(tmp_path / "plain.yaml", [])


def test_a_pipe_is_read(tmp_path: Path) -> None:
    """As of `segspade run <(make-config)`."""
    import os
    import threading

    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text(yaml.safe_dump(GOOD)))
    writer.start()
    assert load_run_config(tmp_path / "pipe", []).name == "tiny"
    writer.join()
