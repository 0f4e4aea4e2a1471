"""A commit that is cut short anywhere, by a kill or by a power cut, leaves the artifact whole or absent."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from committing import REF, digests, make, whole_or_absent
from disk_calls import Call, watched
from power_cut import Recorder, State, put_state, states_after

from storage import staging as staging_module
from storage.store import Store

FOLDER = f"artifacts/{REF.kind}/{REF.key}"


@pytest.fixture(autouse=True)
def quick_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """`make` replaces these for good."""
    monkeypatch.setattr(staging_module, "git_commit", lambda: None)
    monkeypatch.setattr(staging_module, "package_versions", dict)


def test_killed_at_every_call_it_is_whole_or_absent_and_the_next_goes_on(fast: Path) -> None:
    """Faults: the manifest before the files; files of a deleted artifact taken for those of a cut commit."""
    script = Path(__file__).with_name("kill_at_every_call.py")
    done = subprocess.run(
        [sys.executable, str(script), str(fast)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    print(told)
    commit, remove = told["commit"], told["remove"]
    assert commit["calls"] > 80
    assert remove["calls"] > 15
    # the last one was not cut
    assert sum(commit["left"].values()) == commit["calls"] + 1
    assert set(commit["left"]) == set(remove["left"]) == {"whole", "absent"}


def record(root: Path, *runs: object) -> list[Call]:
    recorder = Recorder()
    root.mkdir()
    with watched(recorder, root):
        for run in runs:
            run(root)  # type: ignore[operator]
    return recorder.calls


def look(state: State) -> str:
    """'whole', 'absent', or what is wrong; a peer of `verify` that needs no disk."""
    manifest = state.get(f"{FOLDER}/manifest.json")
    if manifest is None:
        return "absent"
    try:
        listed = json.loads(manifest)["files"]
    except ValueError:
        return "its manifest is no JSON"
    held = {path.removeprefix(f"{FOLDER}/"): each for path, each in state.items() if each is not None}
    for file in listed:
        if hashlib.sha256(held.get(file["path"], b"lost")).hexdigest() != file["sha256"]:
            return f"{file['path']} is lost or altered"
    strange = [path for path in state if path.startswith(f"{FOLDER}/") and state[path] is not None]
    return "whole" if len(strange) == len(listed) + 1 else "files too many"


def test_after_a_power_cut_anywhere_it_is_whole_or_absent_and_the_next_goes_on(fast: Path) -> None:
    """Faults: a file, a name or a folder that is not on the disk before the manifest is."""
    calls = record(fast / "made", make)
    wanted, seen, left = digests(fast / "made"), dict[str, State](), Counter[str]()
    for made, state in states_after(calls, fast / "made"):
        found = look(state)
        assert found in ("whole", "absent"), (made, calls[made - 1], found)
        # `commit` has returned when the last call but those that clear up is made
        assert found == "whole" or made < len(calls), f"lost after the commit: {calls[made - 1]}"
        left[found] += 1
        seen.setdefault(hashlib.sha256(repr(sorted(state.items())).encode()).hexdigest(), state)
    for number, state in enumerate(seen.values()):
        root = fast / str(number)
        root.mkdir()
        put_state(state, root)
        assert whole_or_absent(root) == look(state)
        make(root)
        assert digests(root) == wanted
        assert Store(root).verify() == []
        shutil.rmtree(root)
    print({"calls": len(calls), "states": sum(left.values()), "different": len(seen), **left})
    assert left["whole"] > 100
    assert len(seen) > 200


def test_after_a_power_cut_a_deleted_artifact_is_whole_or_absent(fast: Path) -> None:
    """Fault: a part of its files is lost below a manifest; or it is back after `remove` returned."""
    calls = record(fast / "made", make, lambda root: Store(root).remove(REF))
    (renamed,) = [
        number for number, call in enumerate(calls, 1) if call.to.endswith(".gone") and call.what == "rename"
    ]
    for made, state in states_after(calls, fast / "made"):
        if made >= renamed:
            found = look(state)
            assert found == "absent" or (found == "whole" and made == renamed), (made, calls[made - 1], found)
            assert not any(path.startswith(f"{FOLDER}/") for path in state) or found == "whole"


def test_the_model_loses_what_was_not_synced(tmp_path: Path) -> None:
    """Peer: three calls worked by hand. A model that keeps everything would pass every test here."""
    made = str(tmp_path / "a")
    calls = [Call("create", made), Call("write", made, data=b"1234"), Call("fsync", made)]
    states = [[state for at, state in states_after(calls, tmp_path) if at == made] for made in range(4)]
    assert states[0] == [{}] * len(states[0])
    found = [{state.get("a", "no name") for state in each} for each in states]
    assert found[1:] == [{b"", "no name"}, {b"", b"12", b"1234", bytes(4), "no name"}, {b"1234", "no name"}]
    calls.append(Call("fsync", str(tmp_path)))
    assert [state for at, state in states_after(calls, tmp_path) if at == 4] == [{"a": b"1234"}] * 24


def test_a_call_that_gets_past_the_watcher_is_told(tmp_path: Path) -> None:
    """Fault: a way to change the disk that the tests above never cut."""
    import os

    with watched(Recorder(), tmp_path), pytest.raises(RuntimeError, match="got past the watcher"):
        os.symlink(tmp_path / "a", tmp_path / "b")
