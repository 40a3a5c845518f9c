"""The wheel runs outside the checkout and without optional packages, and contains its config."""

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
from running import TINY

from bench.errors import OPTIONAL

CHECKOUT = Path(__file__).parents[1]
BUILT_FROM = ("bench", "models", "conf", "pyproject.toml", "setup.py", "README.md", "LICENSE")

pytestmark = pytest.mark.processes


def output_of(*command: str | Path, cwd: Path) -> str:
    """Run a command without the import path of this process; assert exit code 0 and return its standard output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}
    ended = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from a copy, because a build writes into its folder."""
    if find_spec("setuptools") is None:
        pytest.skip("setuptools is not installed, and the build may not fetch it")
    source = tmp_path_factory.mktemp("source")
    for name in BUILT_FROM:
        if (CHECKOUT / name).is_dir():
            shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(CHECKOUT / name, source / name)
    output_of(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", source, cwd=source)
    return next(source.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """Create a virtual environment with the wheel and with the packages of this environment except optional ones."""
    environment = tmp_path_factory.mktemp("environment")
    output_of(sys.executable, "-m", "venv", "--without-pip", environment, cwd=environment)
    pip = [sys.executable, "-m", "pip", "--python", environment / "bin" / "python"]
    output_of(*pip, "install", "--no-deps", "--no-index", wheel, cwd=environment)
    others = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    hidden = f"import sys; sys.modules.update(dict.fromkeys({sorted(OPTIONAL)}))"
    site_packages(environment).joinpath("others.pth").write_text("\n".join([*others, hidden]) + "\n")
    return environment


def site_packages(environment: Path) -> Path:
    return next(environment.glob("lib/python*/site-packages"))


def test_every_module_and_config_is_in_the_wheel(wheel):
    got = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    wanted = {path.relative_to(CHECKOUT) for room in ("bench", "models") for path in (CHECKOUT / room).rglob("*.*")}
    wanted |= {Path("bench") / path.relative_to(CHECKOUT) for path in (CHECKOUT / "conf").rglob("*.yaml")}
    assert got == {path.as_posix() for path in wanted if path.suffix != ".pyc"}


def test_only_bench_and_models_are_installed(installed):
    found = {path.name for path in site_packages(installed).iterdir() if not path.name.endswith((".pth", ".dist-info"))}
    assert found - {"__pycache__"} == {"bench", "models"}


def test_the_installed_package_finds_its_own_config(installed, tmp_path):
    code = "import bench, models; from bench.config import CONF; print(bench.__file__, models.__file__, CONF)"
    printed = output_of(installed / "bin" / "python", "-c", code, cwd=tmp_path).split()
    site = site_packages(installed)
    wanted = [site / "bench" / "__init__.py", site / "models" / "__init__.py", site / "bench" / "conf"]
    assert printed == [str(path) for path in wanted]


def test_the_command_shows_its_help(installed, tmp_path):
    assert "python -m bench" in output_of(installed / "bin" / "bench", "--help", cwd=tmp_path)


def test_a_run_needs_no_optional_package(installed, tmp_path):
    printed = output_of(installed / "bin" / "bench", *TINY, cwd=tmp_path)
    assert "run " in printed
    assert (tmp_path / "mlflow.db").is_file()
