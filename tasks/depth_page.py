"""What the page of a run shows of a cycle that went round and round: sentences, plot, where the page lies.

As in `run_page`, keys stay the same from run to run, and outside of a flow run nothing happens.
"""

from __future__ import annotations

import base64
from pathlib import Path

from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.context import FlowRunContext

from segspade_core.figures.cycle_depth_page import deaths_sentence, rest_sentence
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.cycle_depth import PAGE, PLOT, read_depth
from tasks.run_page import page_link

DEPTH_KEY, DEPTH_PAGE_KEY = "cycle-depth", "cycle-depth-page"


def show_depth(workspace: Path, depth: ArtifactRef, pages: str | None) -> None:
    """The sentences and the plot, and a link to the page. `pages`: as `page_link` takes it."""
    if FlowRunContext.get() is None:
        return
    summary = read_depth(workspace, depth)
    folder = Store(workspace).path(depth).absolute()
    uri = "data:image/svg+xml;base64," + base64.b64encode((folder / PLOT).read_bytes()).decode()
    create_markdown_artifact(
        key=DEPTH_KEY,
        markdown=f"{rest_sentence(summary)}\n\n{deaths_sentence(summary)}\n\n![by round]({uri})",
        description=f"`{depth}`",
    )
    create_link_artifact(
        key=DEPTH_PAGE_KEY,
        link=page_link(workspace, depth, PAGE, pages),
        link_text=f"Cycle by round {depth.key}",
        description=f"The page is the file `{folder / PAGE}`.",
    )
