"""The pictures of docs/ of a sweep in MLflow's own UI: python tests/screenshots.py STORE, where STORE is an mlflow.db."""

import sys
from pathlib import Path

from browsing import browser_page, chart, enlarge, open_view, row, served, show, unfold
from playwright.sync_api import expect

from bench import jobs, views
from bench.store import connect

DOCS = Path(__file__).parents[1] / "docs"
PROFILES = ("profile/I_XT.renyi_2", "profile/I_TY.probe.pixel")


def main(database: Path) -> None:
    store = connect(f"sqlite:///{database.absolute()}", "bench")
    sweep = jobs.sweeps(store)[0].info.run_id
    with served(store.uri) as address, browser_page() as page:
        page.set_viewport_size({"width": 1500, "height": 520})
        open_view(page, views.link(address, store.experiment_id))
        unfold(page, sweep)
        expect(page.locator('.ag-header-cell[col-id^="metrics"]').first).to_be_visible()
        page.screenshot(path=DOCS / "ui_sweep.png")

        show(page, "CHART")
        row(page, sweep).locator("label:has(.is-visibility-toggle-checkbox)").click()  # the mean of unlike designs
        enlarge(chart(page, "Parallel Coordinates")).screenshot(path=DOCS / "ui_parallel.png")
        page.keyboard.press("Escape")
        for title in PROFILES:
            expect(chart(page, title).locator(".scatterlayer .trace").first).to_be_attached()
        page.screenshot(path=DOCS / "ui_profiles.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
