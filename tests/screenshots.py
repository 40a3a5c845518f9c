"""Take screenshots of the newest sweep of a store in MLflow's UI for docs/images: tests/screenshots.py mlflow.db"""

import sys
from pathlib import Path

from browsing import browser_page, chart, enlarge, open_view, row, run_mlflow_server, show, unfold
from playwright.sync_api import Page, expect

from bench.sweeps import jobs
from bench.tracking import views
from bench.tracking.store import connect

DOCS = Path(__file__).parents[1] / "docs" / "images"
PROFILES = ("profile/I_TY.ksg_mixture.pixel", "profile/I_TY.probe.pixel")


def main(database: Path) -> None:
    store = connect(f"sqlite:///{database.absolute()}", "bench")
    sweep = jobs.sweeps(store)[0].info.run_id
    with run_mlflow_server(store.uri) as address, browser_page() as page:
        page.set_viewport_size({"width": 1600, "height": 600})
        open_view(page, views.link(address, store.experiment_id))
        unfold(page, sweep)
        expect(page.locator('.ag-header-cell[col-id^="metrics"]').first).to_be_visible()
        page.screenshot(path=DOCS / "ui_sweep.png")

        page.set_viewport_size({"width": 1500, "height": 700})
        show(page, "CHART")
        # hide the mean over different designs
        row(page, sweep).locator("label:has(.is-visibility-toggle-checkbox)").click()
        whole = enlarge(chart(page, "Parallel Coordinates"))
        whole.locator("[class*=modal-content]").first.screenshot(path=DOCS / "ui_parallel.png")
        page.keyboard.press("Escape")
        widen_list(page, 140)
        page.get_by_role("searchbox", name="Search metric charts").fill("|".join(PROFILES))
        for title in PROFILES:
            expect(chart(page, title).locator(".scatterlayer .trace").first).to_be_attached()
        page.mouse.move(0, 0)
        page.screenshot(path=DOCS / "ui_profiles.png")


def widen_list(page: Page, by: int) -> None:
    """Drag the edge of the list of runs, so that names are not truncated."""
    edge = page.get_by_test_id("experiment-view-compare-runs-chart-area").bounding_box()
    page.mouse.move(edge["x"], edge["y"] + 100)
    page.mouse.down()
    page.mouse.move(edge["x"] + by, edge["y"] + 100, steps=5)
    page.mouse.up()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
