"""The layout of the code: rooms, imports between rooms, and the length of files."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
ROOMS = {
    "commands", "comparison", "pruning", "diagnostics", "layers", "sweeps", "config", "known_truth", "tracking",
    "training", "estimators", "datasets", "information", "plots", "errors", "signals", "models",
}  # fmt: skip
ARROWS = 78  # maximal number of pairs (room, imported room)
LINES = 250  # maximal length of a file


def files() -> list[Path]:
    return [path for package in ("bench", "models") for path in sorted((ROOT / package).rglob("*.py"))]


def room_of(module: str) -> str | None:
    """Return the room of a module; None for the API and the command line, which are above all rooms."""
    package, *inside = module.split(".")
    return "models" if package == "models" else inside[0] if inside and inside[0] in ROOMS else None


def imports(path: Path) -> set[str]:
    """Return every module and name of this project that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name for name in found if name.split(".")[0] in ("bench", "models")}


def arrows() -> set[tuple[str, str]]:
    """Return the pairs (room, imported room)."""
    found = set()
    for path in files():
        room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
        found |= {(room, room_of(name)) for name in imports(path)}
    return {(one, other) for one, other in found if one and other and one != other}


def test_every_file_belongs_to_a_room():
    inside = {path.relative_to(ROOT / "bench").parts[0] for path in files() if "bench" in path.parts}
    assert {name.removesuffix(".py") for name in inside if not name.startswith("__")} == ROOMS - {"models"}


def test_rooms_have_few_imports_between_them():
    found = arrows()
    assert 0 < len(found) <= ARROWS
    assert not {room for _, room in found} & {"commands"}
    assert not {one for one, _ in found} & {"models", "errors", "plots"}


def test_no_file_is_too_long():
    assert {str(path): lines for path in files() if (lines := len(path.read_text().splitlines())) > LINES} == {}
