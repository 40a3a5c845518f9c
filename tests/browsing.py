"""MLflow's own UI in a browser, for tests and for the pictures of the documentation."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.request import urlopen

from playwright.sync_api import Locator, Page, expect, sync_playwright

SECONDS = 90  # that a slow machine may take to show something
SIZE = {"width": 1500, "height": 1000}
# what the UI keeps of a user who has closed its chat
CHAT_CLOSED = """
    localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
    localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


@contextmanager
def served(uri: str) -> Iterator[str]:
    """The address of an MLflow server of a store, while it runs."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = {"host": "127.0.0.1", "port": port, "workers": 1, "backend-store-uri": uri}
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", *(f"--{name}={value}" for name, value in options.items())],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        address = f"http://127.0.0.1:{port}"
        until_it_answers(f"{address}/health", server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def until_it_answers(address: str, server: subprocess.Popen) -> None:
    late = time.monotonic() + 2 * SECONDS
    while server.poll() is None and time.monotonic() < late:
        try:
            urlopen(address, timeout=SECONDS).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"no MLflow server at {address}")


@contextmanager
def browser_page() -> Iterator[Page]:
    """A page of Debian's Chromium, wide enough for every column."""
    expect.set_options(timeout=1000 * SECONDS)
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(1000 * SECONDS)
        page.add_init_script(CHAT_CLOSED)
        yield page
        browser.close()


def open_view(page: Page, link: str) -> None:
    page.goto("about:blank")  # a link that differs behind its # alone would not load the page anew
    page.goto(link)
    page.get_by_label("Hide banner").click()  # of the banner that tells of a shared view
    page.get_by_label("Toggle sidebar").click()


def row(page: Page, run_id: str) -> Locator:
    """The row of a run; the grid makes a part of it for the columns that don't scroll."""
    return page.locator(f'[role=row][row-id="{run_id}"]')


def cell(page: Page, run_id: str, column: str) -> Locator:
    return row(page, run_id).locator(f'[col-id="{column}"]')


def unfold(page: Page, parent: str) -> None:
    cell(page, parent, "attributes.`Run Name`").get_by_role("button").click()


def show(page: Page, mode: str) -> None:
    """TABLE or CHART."""
    page.locator(f"label:has(input[name=runs-view-mode][value={mode}])").click()


def chart(page: Page, title: str) -> Locator:
    """The card of a chart, drawn."""
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has=page.get_by_text(title, exact=True))
    card.scroll_into_view_if_needed()
    return card


def enlarge(card: Locator) -> Locator:
    """A chart on the whole page."""
    card.locator("[data-component-id=fullscreen_button_chartcard]").click()
    whole = card.page.get_by_role("dialog")
    expect(whole.locator("svg .label, svg .xtick").first).to_be_visible()
    return whole


def curves(card: Locator, n: int) -> dict[str, dict[float, float]]:
    """What a line chart of n runs has drawn: the curve of each by its name."""
    plot = card.locator(".js-plotly-plot")
    expect(plot.locator(".scatterlayer .trace")).to_have_count(2 * n)  # each has a shadow
    drawn = plot.evaluate("plot => plot.data.map(({name, x, y}) => [name, Array.from(x), Array.from(y)])")
    return {name: dict(zip(x, y, strict=True)) for name, x, y in drawn}
