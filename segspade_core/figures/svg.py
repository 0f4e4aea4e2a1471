"""The few marks that our plots are made of, as SVG text that takes its colours from the page around it.

Written by hand so that text stays text, light and dark follow the page, and the same data give
the same bytes.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Sequence
from html import escape

# legible on white and on near-black alike; the page may set its own
SERIES = ("#3b82f6", "#e2671f", "#16a34a", "#c026d3", "#b58900", "#0e9aa7")
INK = "currentColor"
_MARGIN = 10  # around a drawing that stands alone


def number(value: float) -> str:
    """A coordinate: at most two decimals, no negative zero."""
    return f"{round(value, 2) + 0:g}" if abs(value) < 1e5 else f"{value:.0f}"


def text(x: float, y: float, content: str, anchor: str = "start", extra: str = "") -> str:
    """A line of text; `content` is escaped."""
    return (
        f'<text x="{number(x)}" y="{number(y)}" text-anchor="{anchor}" fill="{INK}"{extra}>'
        f"{escape(content)}</text>"
    )


def line(x1: float, y1: float, x2: float, y2: float, opacity: float = 0.2) -> str:
    """A thin straight line."""
    ends = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line {ends} stroke="{INK}" stroke-opacity="{opacity:g}"/>'


def rect(
    x: float, y: float, width: float, height: float, fill: str, opacity: float = 1, tip: str = ""
) -> str:
    """A filled rectangle; `tip` shows when pointed at."""
    box = f'x="{number(x)}" y="{number(y)}" width="{number(width)}" height="{number(height)}"'
    title = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<rect {box} fill="{fill}" fill-opacity="{opacity:.3g}">{title}</rect>'


def document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    """A whole drawing, inline in HTML. `title` is what a screen reader says."""
    return (
        f'<svg viewBox="0 0 {number(width)} {number(height)}" '
        f'width="{number(width)}" height="{number(height)}" '
        f'role="img" aria-label="{escape(title)}" font-family="system-ui, sans-serif" font-size="12">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten apart) within [low, high]."""
    span = high - low
    if not span > 0:
        return [low]
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(at * step, 12) for at in range(first, math.floor(high / step + 1e-9) + 1)]


def standalone(drawing: str) -> str:
    """A `document` as a file of its own, with a margin, on paper of its own.

    Outside of a page nothing is taken from around it, and what reaches over its edge is cut off.
    """
    size = re.match(r'<svg viewBox="0 0 (\S+) (\S+)" width="\S+" height="\S+"', drawing)
    assert size is not None, "a drawing made by `document`"
    width, height = (float(side) + 2 * _MARGIN for side in size.groups())
    framed = (
        f'<svg xmlns="http://www.w3.org/2000/svg" style="color:#1f2328;background:#fff" '
        f'viewBox="{-_MARGIN} {-_MARGIN} {number(width)} {number(height)}" '
        f'width="{number(width)}" height="{number(height)}"'
    )
    return framed + drawing[size.end() :]


def data_uri(drawing: str) -> str:
    """The address of a `document` that is shown as an image."""
    alone = standalone(drawing)
    return "data:image/svg+xml;base64," + base64.b64encode(alone.encode()).decode()
