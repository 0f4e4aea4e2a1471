"""What a stranger sees in the Prefect UI, in a real browser: runs, forms, and what a run shows of itself."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect
from serviced import Service, wait_for

pytestmark = [pytest.mark.prefect, pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def run(service: Service) -> dict[str, Any]:
    """A run of `pipeline`, for which everything was made before."""
    asked = service.ask_for("pipeline/pipeline", config=service.config)
    assert service.ended(asked)["type"] == "COMPLETED"
    return dict(service.get(f"flow_runs/{asked}"))


def open_(page: Page, service: Service, path: str) -> None:
    page.goto(service.api.removesuffix("/api") + path)


def test_a_run_tells_its_story(page: Page, service: Service, run: dict[str, Any]) -> None:
    """Fault: a name that says nothing, tasks that look made anew, pages that are not there."""
    open_(page, service, f"/runs/flow-run/{run['id']}")
    expect(page.get_by_text(run["name"]).first).to_be_visible()
    assert run["name"].startswith("pipeline tiny ")
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("journey", exact=True).first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).first.click()
    expect(page.get_by_text("Cached", exact=True).first).to_be_visible()
    expect(page.get_by_text("publish report").first).to_be_visible()
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in ("dataset", "curves-segmenter", "scores", "iou-per-class", "samples", "lineage", "report"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()


@pytest.mark.parametrize(
    ("key", "texts", "pictures"),
    [
        ("dataset", ["samples", "times of day", "road"], 0),
        ("curves-segmenter", ["encoder: resnet18"], 1),
        ("iou-per-class", ["road", "val, cycle"], 0),
        ("samples", ["photograph · true map"], 2),
        ("lineage", ["train-segmenter", "import-generator"], 0),
        ("report", ["Every frame"], 0),
    ],
)
def test_a_page_shows_what_it_is_there_for(
    page: Page, service: Service, run: dict[str, Any], key: str, texts: list[str], pictures: int
) -> None:
    """Fault: an empty table, a picture that the browser refuses."""
    body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": [key]}}}
    (artifact,) = wait_for(lambda: service.post("artifacts/filter", body), 60)
    open_(page, service, f"/artifacts/artifact/{artifact['id']}")
    for text in texts:
        expect(page.get_by_text(text).first).to_be_visible()
    images = page.locator("main img, .artifact img, img[src^='data:']")
    expect(images).to_have_count(pictures)
    for at in range(pictures):
        drawn = "image => image.complete && image.naturalWidth > 100 && image.naturalHeight > 50"
        assert images.nth(at).evaluate(drawn), f"picture {at} of {key}"


def test_a_deployment_asks_with_names_choices_and_defaults(page: Page, service: Service) -> None:
    """Fault: a form of JSON, or of names that one has to know."""
    found = service.get("deployments/name/segment-split/segment-split")
    open_(page, service, f"/deployments/deployment/{found['id']}/run")
    for text in (
        "Photographs",
        "a dataset, or painted images, by alias or key",
        "of the dataset that goes through",
    ):
        expect(page.get_by_text(text).first).to_be_visible()
    values = page.locator("textarea, input").evaluate_all("fields => fields.map(field => field.value)")
    assert "segmenter/production" in values
    assert str(service.workspace) in values


def test_what_runs_by_itself_is_seen_to(page: Page, service: Service) -> None:
    found = service.get("deployments/name/retrain/retrain")
    open_(page, service, f"/deployments/deployment/{found['id']}")
    expect(page.get_by_text("weekly").first).to_be_visible()
    open_(page, service, "/automations")
    expect(page.get_by_text("SegSPADE: mark runs that died").first).to_be_visible()


@pytest.mark.parametrize(
    ("key", "link", "wanted"),
    [
        ("report", "report.html", "Painted from"),
        ("report", "inspector.html", "frames; click one"),
        ("samples", "#val/", None),
    ],
)
def test_links_land_on_the_report_and_on_the_frame(
    page: Page, service: Service, run: dict[str, Any], key: str, link: str, wanted: str | None
) -> None:
    """Faults: the UI takes the address for one of its own, a file is refused, another frame opens."""
    body = {"artifacts": {"flow_run_id": {"any_": [run["id"]]}, "key": {"any_": [key]}}}
    (artifact,) = wait_for(lambda: service.post("artifacts/filter", body), 60)
    open_(page, service, f"/artifacts/artifact/{artifact['id']}")
    found = page.locator(f"a[href^='/pages/'][href*='{link}']").first
    name = found.text_content() or ""
    with page.expect_popup() as tab:
        found.click()
    landed = tab.value
    if wanted is not None:
        expect(landed.get_by_text(wanted).first).to_be_visible()
    else:
        expect(landed.locator("#heading")).to_have_text(name)
        expect(landed.locator("#heading")).to_be_visible()
