"""Heavy libraries load when they are used: importing the package, showing help and refusing input take little time."""

import subprocess
import sys

import pytest

HEAVY = ("hydra", "matplotlib.figure", "mlflow", "monai", "pandas", "scipy.stats", "sklearn", "torch", "torchvision")
CODE = """
import sys
sys.argv = ["bench", *{arguments}]
try:
    import bench
    if {arguments}:
        import bench.__main__
        bench.__main__.main()
except SystemExit:
    pass
print(*(name for name in {heavy} if name in sys.modules), file=sys.stderr)
"""


def loaded(folder, *arguments: str) -> set[str]:
    """Return the heavy libraries that a new process has loaded after a command, or after `import bench` alone."""
    code = CODE.format(arguments=arguments, heavy=HEAVY)
    ended = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    return set(ended.stderr.splitlines()[-1].split())


@pytest.mark.parametrize(
    ("arguments", "libraries"),
    [
        ((), set()),
        (("--help",), {"hydra"}),
        (("dataset.root=1", "model=nope"), {"hydra"}),
        (("model.widths=[0]",), {"hydra", "pandas", "torch"}),
        (("dataset=image_folder", "dataset.root=missing"), {"hydra", "pandas", "torch"}),
    ],
)
def test_libraries_that_a_command_loads(tmp_path, arguments, libraries):
    assert loaded(tmp_path, *arguments) == libraries
