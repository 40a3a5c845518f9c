"""Open MLflow's UI in a browser, for tests and for the screenshots of the documentation."""

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

SECONDS = 90  # time limit for a page element on a slow machine
SIZE = {"width": 1500, "height": 1000}
# state that the UI stores after a user has closed its chat
CHAT_CLOSED = """
    localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
    localStorage.setItem("mlflow.assistant.panelOpen_v1", "false");
"""


@contextmanager
def run_mlflow_server(uri: str) -> Iterator[str]:
    """Run an MLflow server on a store; yield its address."""
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
        wait_for_server(f"{address}/health", server)
        yield address
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


def wait_for_server(address: str, server: subprocess.Popen) -> None:
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
    """Yield a page of Debian's Chromium that is wide enough for every column."""
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
    page.goto("about:blank")  # Chromium does not reload a page if two links differ only in the part after '#'
    page.goto(link)
    page.get_by_label("Hide banner").click()  # the banner about a shared view
    page.get_by_label("Toggle sidebar").click()


def row(page: Page, run_id: str) -> Locator:
    """Locate the row of a run. The grid makes a separate part of the row for the columns that do not scroll."""
    return page.locator(f'[role=row][row-id="{run_id}"]')


def cell(page: Page, run_id: str, column: str) -> Locator:
    return row(page, run_id).locator(f'[col-id="{column}"]')


def from_left_to_right(headers: Locator, wanted: list[str]) -> list[str]:
    """Return the texts of column headers in the order of their positions, which can differ from that of the source.

    The grid shows columns first and orders them later. Therefore wait for the wanted order.
    """
    expect(headers).to_have_count(len(wanted))
    position = "(one, other) => one.getBoundingClientRect().x - other.getBoundingClientRect().x"
    late = time.monotonic() + SECONDS
    while True:
        texts = headers.evaluate_all(f"all => all.sort({position}).map(header => header.innerText.trim())")
        if texts == wanted or time.monotonic() > late:
            return texts
        time.sleep(0.2)


def unfold(page: Page, parent: str) -> None:
    cell(page, parent, "attributes.`Run Name`").get_by_role("button").click()


def show(page: Page, mode: str) -> None:
    """Show the runs as a table (mode TABLE) or as charts (mode CHART)."""
    page.locator(f"label:has(input[name=runs-view-mode][value={mode}])").click()


def chart(page: Page, title: str) -> Locator:
    """Scroll to the card of a chart, so that the chart is drawn."""
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(has=page.get_by_text(title, exact=True))
    card.scroll_into_view_if_needed()
    return card


def enlarge(card: Locator) -> Locator:
    """Show a chart on the whole page."""
    card.locator("[data-component-id=fullscreen_button_chartcard]").click()
    whole = card.page.get_by_role("dialog")
    expect(whole.locator("svg .label, svg .xtick").first).to_be_visible()
    return whole


def curves(card: Locator, n: int) -> dict[str, dict[float, float]]:
    """Return the curves of a line chart of n runs by the name of the run."""
    plot = card.locator(".js-plotly-plot")
    expect(plot.locator(".scatterlayer .trace")).to_have_count(2 * n)  # the chart draws each curve twice
    drawn = plot.evaluate("plot => plot.data.map(({name, x, y}) => [name, Array.from(x), Array.from(y)])")
    return {name: dict(zip(x, y, strict=True)) for name, x, y in drawn}
