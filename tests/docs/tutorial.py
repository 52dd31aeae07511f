"""The code of a tutorial: files to write, commands and scripts to run, in the order of the page."""

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
TUTORIALS = sorted(file.stem for file in (DOCS / "tutorials").glob("*.md") if file.stem != "index")
_BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A piece of code: its language, the file it stands for (empty: it is run), and the code."""

    language: str
    file: str
    code: str


def blocks(page: Path) -> list[Block]:
    """Every piece of code of a page but plain text."""
    found = [Block(*match) for match in _BLOCK.findall(page.read_text(encoding="utf-8"))]
    return [block for block in found if block.language in ("sh", "python", "toml")]


def commands(page: Path) -> list[str]:
    """Every command line that a page runs."""
    codes = [block.code.replace("\\\n", " ") for block in blocks(page) if block.language == "sh"]
    lines = [line for code in codes for line in code.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def perform(page: Path, folder: Path) -> None:
    """Do in a folder what a reader of the page would do; a failing step raises with what it printed."""
    for block in blocks(page):
        if block.file:
            (folder / block.file).write_text(block.code, encoding="utf-8")
            continue
        if block.language == "toml":
            continue  # a part of a file, shown to be read
        command = ["bash", "-euc", block.code] if block.language == "sh" else [sys.executable, "-c", block.code]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if result.returncode:
            raise AssertionError(f"{block.code}\nended with {result.returncode}:\n{result.stdout}\n{result.stderr}")
