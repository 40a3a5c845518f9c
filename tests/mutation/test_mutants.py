"""The generator of mutants on small sources; mutants.toml names files, tests and mutants that exist."""

import tomllib
from pathlib import Path

import pytest
from mutants import mutants, sample

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KNOWN = tomllib.loads((HERE / "mutants.toml").read_text())


@pytest.mark.parametrize(
    ("source", "becomes"),
    [
        ("a < b", {"(a <= b)", "(a >= b)"}),
        ("a and b", {"(a or b)", "(a)", "(b)"}),
        ("x = not a", {"x = (a)"}),
        ("x = a + 0.5", {"x = (a - 0.5)", "x = a + 1.0", "x = a + 0.25"}),
        ("x = a.min()", {"x = a.max()"}),
        ("x = f(True, 20)", {"x = f(False, 20)", "x = f(True, 40)", "x = f(True, 10)"}),
        ("x = a if b else c", {"x = a if (not (b)) else c"}),
        ("f()", {"pass"}),
        ("def f(a: int = 3) -> int:\n    return a", {"return None"}),
        ('raise ValueError(f"got {a + 1}")', set()),
    ],
)
def test_mutants_of_small_sources(source, becomes):
    assert {mutant.becomes for mutant in mutants(source)} == becomes


def test_a_sample_depends_on_its_seed():
    source = "x = [1, 2, 3, 4, 5, 6, 7, 8]"
    assert sample(source, 5, "0") == sample(source, 5, "0") != sample(source, 5, "1")
    assert len(sample(source, 99, "0")) == 16


def test_files_and_tests_of_every_room_exist():
    for files in KNOWN["rooms"].values():
        for file, tests in files.items():
            named = [file, *(test for test in tests if not test.startswith("--"))]
            assert [name for name in named if not (ROOT / name).is_file()] == []


def test_the_line_of_every_explained_mutant_exists():
    assert [each for each in KNOWN["explained"] if each["was"] not in (ROOT / each["file"]).read_text()] == []


@pytest.mark.processes  # half a minute
def test_every_explained_mutant_exists():
    files = {each["file"] for each in KNOWN["explained"]}
    made = {(file, each.was, each.becomes) for file in files for each in mutants((ROOT / file).read_text())}
    assert [each for each in KNOWN["explained"] if (each["file"], each["was"], each["becomes"]) not in made] == []
