"""Build the documentation site without a network: `python3 start.py docs` calls it.

usage: python3 start.py docs [--out DIR]    the site in DIR (default: build/site), checked for dead links and anchors

The sources are the Markdown files of docs/, which a forge shows as they are, and pages made from the code.
"""

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
DOCS = ROOT / "docs"
for place in (HERE, ROOT / "src"):
    sys.path.insert(0, str(place))


def assemble(source: Path) -> None:
    """Write everything that Sphinx reads below a new folder."""
    from gallery import write_gallery
    from pages import contents, for_site, generated

    pages = {
        file.relative_to(DOCS).as_posix(): file.read_text(encoding="utf-8")
        for file in sorted(DOCS.rglob("*.md"))
        if HERE not in file.parents
    }
    gallery = (HERE / "gallery.md").read_text(encoding="utf-8") + write_gallery(source / "_extra" / "gallery")
    pages |= generated(gallery)
    known = set(pages)
    pages["index.md"] += contents(known)
    for page, text in pages.items():
        file = source / page
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(for_site(text, page, known), encoding="utf-8")
    for picture in (*DOCS.glob("*.png"), *DOCS.glob("*.svg")):
        shutil.copy(picture, source / picture.name)
    (source / "_static").mkdir()
    shutil.copy(HERE / "site.css", source / "_static" / "site.css")
    shutil.copy(HERE / "conf.py", source / "conf.py")


def build(out: Path) -> list[str]:
    """Build the site into a folder and return its problems; Sphinx's own warnings are among them."""
    from accessible import repair
    from links import problems
    from sphinx.application import Sphinx

    with tempfile.TemporaryDirectory(prefix="equipoise-site-") as scratch:
        source, doctrees, warnings = Path(scratch, "source"), Path(scratch, "doctrees"), Path(scratch, "warnings.txt")
        source.mkdir()
        assemble(source)
        with warnings.open("w", encoding="utf-8") as told:
            app = Sphinx(source, source, out, doctrees, "html", status=None, warning=told, freshenv=True, parallel=1)
            app.build()
        repair(out)
        shutil.copytree(source / "_extra" / "gallery", out / "gallery", dirs_exist_ok=True)
        complaints = warnings.read_text(encoding="utf-8").replace(f"{source}{os.sep}", "").splitlines()
    return [*(line for line in complaints if line.strip()), *problems(out)]


def main() -> None:
    """Build the site and end with 1 where it has a problem."""
    parser = argparse.ArgumentParser(prog="start.py docs", description="Build the documentation site.")
    parser.add_argument("--out", default=str(ROOT / "build" / "site"), metavar="DIR", help="default: %(default)s")
    out = Path(parser.parse_args().out)
    began = time.perf_counter()
    shutil.rmtree(out, ignore_errors=True)
    complaints = build(out)
    sys.stderr.writelines(f"{line}\n" for line in complaints)
    if complaints:
        sys.exit(f"the site has {len(complaints)} problems; correct them")
    pages = len(list(out.rglob("*.html")))
    print(f"{out / 'index.html'}: {pages} pages in {time.perf_counter() - began:.0f} s; no dead link, no other host")


if __name__ == "__main__":
    main()
