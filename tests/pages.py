"""Helpers for tests: read the commands and the Python code of a page of the documentation."""

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
SHELLS = ("bash", "sh", "shell", "console")
STARTS = re.compile(
    r"(\$ )?([A-Z_]+=\S+ )*(\S*python3? -m |bench |make\b|eval |export |pip |git |cd |\S*server/|mlflow )"
)
FENCE = re.compile(r"^( *)```(\w*)(?: title=\"([^\s\"]+)\")?\n(.*?)^\1```$", re.M | re.S)


class Block(NamedTuple):
    """A part of a page that a reader copies.

    Attributes:
        kind: shell: a command; python: code to run; file: the content of a file.
        text: The command, the code or the content.
        path: Path of the file, else an empty text.
        line: Its first line in the page.
    """

    kind: str
    text: str
    path: str
    line: int


def pages() -> list[str]:
    """List README.md and the pages below docs/, relative to the root of the repository."""
    return ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))]


def blocks(page: str) -> list[Block]:
    """Read the commands, the code and the files of a page, in order.

    A fenced block of bash, sh or shell has one command in each line. A fenced block of python is code, unless it names
    a path as in ```yaml title="conf/model/net.yaml": then it is a file. An indented block is
    a block of commands or of code by its first line. Other blocks, such as outputs, are not read.
    """
    text = (ROOT / page).read_text(encoding="utf-8")
    found = []
    for fence in FENCE.finditer(text):
        _, language, path, content = fence.groups()
        line, content = _line(text, fence.start(4)), textwrap.dedent(content)
        if path:
            found.append(Block("file", content, path, line))
        elif language in SHELLS:
            found += _commands(content, line, every=True)
        elif language in ("python", "py"):
            found.append(Block("python", content, "", line))
    plain = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text)
    for block in re.finditer(r"(?<=\n\n)((?: {4}[^\n]*\n|\n)+)", plain):
        content, line = textwrap.dedent(block[0]), _line(plain, block.start())
        if re.match(r"\s*(import|from) \w", content):
            found.append(Block("python", content, "", line))
        else:
            found += _commands(content, line, every=False)
    return sorted(found, key=lambda block: block.line)


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _commands(content: str, first: int, every: bool) -> Iterator[Block]:
    """Yield the commands of a block without comments, continued lines joined; only known programs unless `every`."""
    lines = content.split("\n")
    while lines:
        line, number = lines.pop(0), first
        first += 1
        while line.endswith("\\") and lines:
            line, first = line[:-1] + lines.pop(0).strip(), first + 1
        if (every and line.strip() and not line.startswith("#")) or STARTS.match(line):
            yield Block("shell", re.sub(r"\s+#.*", "", line.removeprefix("$ ").strip()), "", number)
