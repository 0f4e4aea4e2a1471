"""What a person sees of long work: rate and time left, at any width; nothing where nobody watches."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from tasks import progress as module
from tasks.progress import progress, say_done

NOTE = "epoch 12/12 loss 0.3299, lr 1.931e-06, val_loss 0.595, val_miou 0.262, val_pixel_accuracy 0.832"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Terminal]:
    """Put a terminal of some width in place of standard error."""

    def show(width: int) -> Terminal:
        terminal = Terminal()
        monkeypatch.setattr("sys.stderr", terminal)

        def console(**_: Any) -> Console:
            return Console(file=terminal, width=width, height=20, force_terminal=True, color_system=None)

        monkeypatch.setattr(module, "Console", console)
        return terminal

    return show


@pytest.mark.parametrize("width", [80, 120, 160])
def test_count_rate_and_time_left_fit_on_one_line(screen: Callable[[int], Terminal], width: int) -> None:
    """Fault: a long note pushes out what it is all about, or breaks the line in two."""
    terminal = screen(width)
    with progress("train-segmenter", 480, "step") as bar:
        for done in range(1, 13):
            bar.move_to(done * 40, NOTE)
        live = module._screen._progress
        assert live is not None
        console = Console(width=width, record=True, file=io.StringIO())
        console.print(live.get_renderable())
    lines = [line for line in console.export_text().splitlines() if line.strip()]
    assert len(lines) == 1
    assert "train-segmenter" in lines[0]
    assert "480/480" in lines[0]
    assert "step" in lines[0]
    assert "left 0:00:00" in lines[0]
    assert "epoch" in lines[0]
    assert terminal.getvalue()


def test_nothing_is_shown_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    """Fault: bars fill the log of a scheduled job."""
    with progress("segment", 16) as bar:
        bar.advance(16)
    say_done("done")
    assert capsys.readouterr().err == ""


def test_what_is_over_in_a_moment_has_no_page_and_what_lasts_ends_at_100(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: a page for every stage that takes a second; a bar that stays at 90 % in the UI."""
    import prefect.artifacts
    import prefect.context

    told: list[float] = []
    now = [100.0]
    monkeypatch.setattr(prefect.context.FlowRunContext, "get", lambda: object())
    monkeypatch.setattr(
        prefect.artifacts, "create_progress_artifact", lambda percent, **_: told.append(percent) or 7
    )
    monkeypatch.setattr(
        prefect.artifacts, "update_progress_artifact", lambda _id, percent: told.append(percent)
    )
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with progress("segment", 32) as bar:
        for _ in range(2):
            now[0] += 2
            bar.advance(16)
    assert told == []
    with progress("segment", 100) as bar:
        for _ in range(9):
            now[0] += 3
            bar.advance(10)
        now[0] += 1
        bar.advance(10)
    assert told == [20.0, 40.0, 60.0, 80.0, 100.0]
