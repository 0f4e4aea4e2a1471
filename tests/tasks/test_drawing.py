"""A drawn part has its marker only when its pictures are on the disk."""

from __future__ import annotations

from pathlib import Path

from disk_calls import watched
from power_cut import Recorder, states_after

from segspade_core.config import MinicityConfig
from storage.files import files_under
from tasks.drawing import draw_part, plan_minicity
from tasks.plan import marker, parts_of


def test_after_a_power_cut_a_part_with_a_marker_has_its_pictures(tmp_path: Path) -> None:
    """Fault: the next run believes the marker, and commits pictures that are empty or lost."""
    workspace = tmp_path / "workspace"
    plan = plan_minicity(workspace, MinicityConfig(train=1, val=1, size=(32, 64)))
    (part, _) = parts_of({"train": 1, "val": 1})
    recorder = Recorder()
    workspace.mkdir()
    with watched(recorder, workspace):
        draw_part.fn(plan=plan, part=part)
    name = marker(plan, part).relative_to(workspace).as_posix()
    made = {
        path.relative_to(workspace).as_posix(): path.read_bytes()
        for path in files_under(plan.staging)
        if path != marker(plan, part)
    }
    assert len(made) == 5
    marked = [state for _, state in states_after(recorder.calls, workspace) if name in state]
    assert len(marked) > 5
    for state in marked:
        assert {path: state.get(path) for path in made} == made
