"""The view of a sweep in MLflow's UI, in a browser."""

import re
import shutil
from urllib.parse import urlsplit

import pytest

pytest.importorskip("playwright", reason="the UI is tested by playwright, which is not installed")
if not shutil.which("chromium"):
    pytest.skip("the UI is tested in chromium, which is not installed", allow_module_level=True)

from browsing import (
    browser_page,
    cell,
    chart,
    curves,
    enlarge,
    from_left_to_right,
    open_view,
    row,
    run_mlflow_server,
    show,
    unfold,
)
from playwright.sync_api import expect
from running import children, is_drawing, parents, points, tiny, uri

pytestmark = pytest.mark.processes
SWEEP = ("-m", "model.widths=[4,8],[4,8,16]", "seed=0,1")
TRAINED = ("dataset.difficulty=0", "train.epochs=3", "train.batch_size=4", "train.optimizer.lr=0.03")
AXES = ["design", "cost/params", "cost/flops", "summary/bottleneck.ty", "test/dice"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ui")
    ended = tiny(folder, *SWEEP, *TRAINED, "diagnostic=[bottleneck]")
    assert ended.code == 0, ended.err
    (folder / "printed").write_text(ended.out)
    return folder


@pytest.fixture(scope="module")
def parent(folder):
    (parent,) = parents(folder)
    return parent.info.run_id


@pytest.fixture(scope="module")
def jobs(folder):
    (parent,) = parents(folder)
    jobs = children(folder, parent)
    assert len(jobs) == 4
    return jobs


@pytest.fixture(scope="module")
def link(folder):
    """Return the last link that the sweep printed, with the address of a server of its store."""
    printed = re.findall(r"^designs and U-plots: (\S+)$", (folder / "printed").read_text(), re.MULTILINE)[-1]
    with run_mlflow_server(uri(folder)) as address:
        yield printed.replace("http://" + urlsplit(printed).netloc, address)


@pytest.fixture(scope="module")
def browser(link):
    with browser_page() as page:
        yield page


@pytest.fixture
def page(browser, link, parent, jobs):
    """Open the link of the sweep and unfold its jobs."""
    open_view(browser, link)
    expect(row(browser, parent).first).to_be_visible()
    for job in jobs:
        expect(row(browser, job.info.run_id)).to_have_count(0)
    unfold(browser, parent)
    return browser


def test_jobs_are_listed_below_their_parent(page, parent, jobs):
    expect(cell(page, parent, "attributes.`Run Name`")).to_contain_text("unet-widths-")
    expect(row(page, parent).first).to_have_attribute("row-index", "0")
    for position, job in enumerate(reversed(jobs), 1):  # the newest first
        expect(row(page, job.info.run_id).first).to_have_attribute("row-index", str(position))
        name = cell(page, job.info.run_id, "attributes.`Run Name`").get_by_role("link")
        expect(name).to_have_text(job.info.run_name)
        assert name.inner_text() == job.info.run_name


def test_columns_are_design_seed_score_cost_and_information(page, jobs, tmp_path):
    headers = page.locator('.ag-header-cell[col-id^="params"], .ag-header-cell[col-id^="metrics"]')
    columns = ["test/dice", "cost/params", "cost/flops", "summary/bottleneck.xt", "summary/bottleneck.ty"]
    assert from_left_to_right(headers, ["design", "seed", *columns]) == ["design", "seed", *columns]
    for job in jobs:
        widths = job.data.params["model.widths"].replace(" ", "")
        expect(cell(page, job.info.run_id, "params.`design`")).to_have_text(f"widths={widths}")
        expect(cell(page, job.info.run_id, "params.`seed`")).to_have_text(job.data.params["seed"])
        for key in columns:
            shown = cell(page, job.info.run_id, f"metrics.`{key}`").inner_text()
            assert float(shown) == pytest.approx(job.data.metrics[key], rel=1e-6)
    assert len({job.data.metrics["test/dice"] for job in jobs}) > 1
    page.screenshot(path=tmp_path / "table.png")
    assert is_drawing(tmp_path / "table.png")


def test_profiles_of_the_shown_runs_are_overlaid(page, folder, jobs):
    show(page, "CHART")
    card = chart(page, "profile/I_TY.kde")
    drawn = curves(card, 5)  # the curve of the parent is the mean
    for job in jobs:
        curve = drawn[job.info.run_name]
        assert curve == pytest.approx(points(folder, job, "profile/I_TY.kde"))
        assert (min(curve), max(curve)) == (0, 100)
    row(page, jobs[0].info.run_id).locator("label:has(.is-visibility-toggle-checkbox)").click()
    assert curves(card, 4).keys() == drawn.keys() - {jobs[0].info.run_name}


def test_parallel_coordinates_of_design_cost_information_and_score(page):
    show(page, "CHART")
    card = chart(page, "Parallel Coordinates")
    expect(card).to_have_count(1)  # the chart of accuracy is hidden, because no run has it
    whole = enlarge(card)
    expect(whole.locator(".dimension .label")).to_have_text(AXES)
    assert [label.strip() for label in whole.locator(".dimension .label").all_text_contents()] == AXES
    expect(whole.locator(".dimension").first.locator(".tick text")).to_have_text(["widths=[4,8]", "widths=[4,8,16]"])
    expect(whole.locator("canvas.foreground")).to_be_visible()


def test_chosen_runs_are_compared(page, jobs):
    for job in jobs[1:]:
        row(page, job.info.run_id).locator(".ag-selection-checkbox").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", name="Comparing 3 Runs from 1 Experiment")).to_be_visible()
    for job in jobs[1:]:
        expect(page.get_by_role("cell", name=job.info.run_name, exact=True)).to_be_visible()
        assert page.get_by_role("cell", name=job.info.run_name, exact=True).count() >= 1
    expect(page.locator(".pcp-plot .axis-title").first).to_be_visible()
