"""What the installation page and the container file say is so."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
CONTAINER = (ROOT / "Containerfile").read_text(encoding="utf-8")


def test_every_extra_is_explained():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    table = PAGE.partition("## Extras")[2].partition("## ")[0]
    explained = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(explained) == sorted(project["optional-dependencies"])
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in readme for name in explained)


def test_the_container_copies_what_there_is_and_leaves_out_what_is_made():
    copied = [words.split()[1:-1] for words in CONTAINER.splitlines() if words.startswith("COPY ")]
    assert all((ROOT / name).exists() for names in copied for name in names)
    left_out = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert {".venv", ".git", "build"} <= set(left_out)
    assert not {name for names in copied for name in names} & set(left_out)


def test_what_the_container_copies_suffices_for_start(tmp_path):
    for name in ("start.py", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    result = subprocess.run([sys.executable, "start.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "start.py --cpu" in result.stderr
    assert re.search(r"^RUN python3 start.py \$\{CPU\} list keys", CONTAINER, re.MULTILINE)
