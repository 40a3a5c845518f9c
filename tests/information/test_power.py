"""The line about runs with too few samples."""

import re
from pathlib import Path

import pandas as pd
import pytest

from bench.information.power import DOSES, MORE, POWER, power_line

PAGE = Path(__file__).parents[2] / "docs/results/power.md"
ROW = {"estimator": "probe", "view": "image", "bits": 0.1, "n": 200, "dim": 64}
NEEDED = POWER["image", "probe"][64]


@pytest.mark.parametrize("power", POWER.values(), ids=map(str, POWER))
def test_larger_doses_never_need_more_samples(power):
    for needed in power.values():
        assert len(needed) == len(DOSES)
        assert sorted(needed, reverse=True) == list(needed)


@pytest.mark.parametrize(
    ("n", "says"),
    [
        (NEEDED[0] - 1, f"{NEEDED[0] - 1:,} images show 0.25 bits or more (probe, image view); 0.1 bits need about"),
        (NEEDED[1] - 1, "images show 0.5 bits or more"),
        (NEEDED[3] - 1, "images do not show 1 bit (probe, image view)"),
    ],
)
def test_the_line_names_the_smallest_dose_that_is_seen(n, says):
    line = power_line(pd.DataFrame([ROW | {"n": n}]))
    assert says in line
    assert line.endswith("docs/results/power.md\n")
    assert line.count("\n") == 1


@pytest.mark.parametrize(
    "other", [{"n": NEEDED[0]}, {"bits": None}, {"n": None}, {"view": "patch"}, {"estimator": "kde"}]
)
def test_there_is_no_line_where_n_is_enough_or_nothing_is_known(other):
    assert power_line(pd.DataFrame([ROW | other])) == ""


def test_the_layer_that_needs_most_samples_decides():
    wide = power_line(pd.DataFrame([ROW, ROW | {"dim": 40000}]))
    assert wide == power_line(pd.DataFrame([ROW | {"dim": 65536}]))
    assert wide != power_line(pd.DataFrame([ROW]))
    assert "more than 2,000" in wide


def test_patients_count_in_place_of_their_images():
    rows = pd.DataFrame([ROW | {"n": 20 * NEEDED[0]}])
    line = power_line(rows, patients=44)
    assert line.startswith("44 patients (groups of images) do not show 1 bit (probe, image view); 0.1 bits need about")
    assert power_line(rows, patients=NEEDED[0]) == ""
    single = pd.DataFrame([ROW])  # a group for each image
    assert power_line(single, patients=200) == power_line(single)
    locations = pd.DataFrame([ROW | {"view": "pixel", "dim": 8}])
    assert power_line(locations, patients=44).startswith("200 locations")


def test_the_numbers_are_those_of_the_page():
    parts = re.split(r"^## ", PAGE.read_text(), flags=re.M)
    for view, title in (("image", "Image view"), ("pixel", "Pixel view")):
        (part,) = (part for part in parts if part.startswith(title))
        cells = [line.strip("| ").split(" | ") for line in part.splitlines() if "`" in line and line.startswith("|")]
        page = {(columns, name.strip("`")): [cell.split(" / ")[0] for cell in doses] for columns, name, *doses in cells}
        ours = {(f"{columns:,}", name): [_as_in_the_page(n) for n in needed] for (where, name), power in POWER.items()
                if where == view for columns, needed in power.items()}  # fmt: skip
        assert page == ours


def _as_in_the_page(n: float) -> str:
    return "> 2,000" if n == MORE else f"{n:,}"
