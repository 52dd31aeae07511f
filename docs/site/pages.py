"""The pages of the site in their order, and those that are made from the code."""

import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAVIGATION = {
    "Start": ["install", "comparison", "faq", "gallery", "changes"],
    "Tutorials": [
        "tutorials/index",
        *(
            f"tutorials/{name}"
            for name in (
                "classification", "segmentation", "pictures-with-masks", "detection", "own-model", "own-optimizer",
                "audit", "dicom",
            )
        ),
    ],
    "How to": [
        "howto/index", "howto/margin", "howto/leaks", "howto/watch", "howto/runs", "howto/next-trial", "howto/privacy",
        "howto/offline", "scale", "deploy", "howto/serve",
    ],
    "Concepts": ["concepts", "reading-a-verdict", "glossary", "statistics", "self-configuration"],
    "Catalogues": [
        "catalogue/index",
        *(
            f"catalogue/{kind}"
            for kind in ("sources", "data", "models", "optimizers", "losses", "augmentations", "endpoints", "keys")
        ),
    ],
    "Reference": ["reference/python", "reference/extending", "contracts", "cohorts", "endpoints", "contributing"],
    "Evidence": ["experiments", "optimizer-study", "upstream", "decisions/index"],
}  # fmt: skip
"""Every page by its part; pages of docs/ that stand nowhere here are put behind those of "How to"."""
REPOSITORY = {"changes.md": "CHANGELOG.md", "contributing.md": "CONTRIBUTING.md"}
"""Pages that are files at the top of the repository."""
MADE_FROM = {
    **{file: page for page, file in REPOSITORY.items()},
    "src/equipoise/report/text/glossary.py": "glossary.md",
    "src/equipoise/cohorts/sources.py": "catalogue/sources.md",
    "src/equipoise/cohorts/public/catalogue.py": "catalogue/data.md",
    "src/equipoise/models/__init__.py": "catalogue/models.md",
    "src/equipoise/optimizers/__init__.py": "catalogue/optimizers.md",
    "src/equipoise/training/learner/losses.py": "catalogue/losses.md",
    "src/equipoise/training/augmentation/settings.py": "catalogue/augmentations.md",
    "src/equipoise/statistics/endpoints.py": "catalogue/endpoints.md",
    "src/equipoise/protocol/protocol.py": "catalogue/keys.md",
}
"""Files that pages link to, so that a link leads somewhere in a checkout too, and the page that is made from each."""
_LINK = re.compile(r"\]\(([^)#:\s]+)(#[^)\s]*)?\)")
_NAMED_PAGE = re.compile(r"`docs/((?:[\w-]+/)*[\w-]+\.md)`")
_TITLED_FENCE = re.compile(r'```(\w+) title="([^"]+)"\n')
_FENCE = re.compile(r"(```.*?```)", re.DOTALL)


def generated(gallery: str) -> dict[str, str]:
    """Return every page that is made from the code, by its path; gallery: what the made reports say."""
    from api import fill_in

    from equipoise.catalogue import KINDS, listing, markdown

    pages = {
        f"catalogue/{kind}.md": f"# {title}\n\nMade from the code; the same in a terminal: `equipoise list {kind}`.\n\n"
        + markdown(listing(kind))
        for kind, (title, *_) in KINDS.items()
    }
    pages["glossary.md"] = glossary_page()
    pages["gallery.md"] = gallery
    for page, name in REPOSITORY.items():
        pages[page] = (ROOT / name).read_text(encoding="utf-8")
    for name in ("python", "extending"):
        text = (ROOT / "docs" / "reference" / f"{name}.md").read_text(encoding="utf-8")
        pages[f"reference/{name}.md"] = fill_in(text)
    pages["decisions/index.md"] = _decisions()
    return pages


def glossary_page() -> str:
    """Return docs/glossary.md, which stands in the repository too: `python docs/site/pages.py` renews it."""
    from equipoise.report.text import glossary

    about = "# Glossary\n\nThe words of reports and of this documentation, in plain English."
    # A heading for each word: a link ends in it as forges make it, such as `glossary.md#test-opening`.
    words = "\n\n".join(f"## {term.name}\n{term.meaning}{_also(term.also)}" for term in glossary.TERMS)
    return f"{about}\n\n{words}\n"


def _also(spellings: tuple[str, ...]) -> str:
    return f" Also: {', '.join(spellings)}." if spellings else ""


def _decisions() -> str:
    """Return the page that lists the hard decisions."""
    names = sorted(file.stem for file in (ROOT / "docs" / "decisions").glob("[0-9]*.md"))
    rows = "\n".join(names)
    return f"# Decisions\n\nHard decisions, each with its reasons and what was left.\n\n```{{toctree}}\n{rows}\n```\n"


def for_site(text: str, page: str, known: set[str]) -> str:
    """Return a page as the site needs it: file names above code, and links where the text names another page.

    page: its path below docs/; known: the paths of all pages. Files keep the form that a forge shows.
    """
    above = "../" * page.count("/")

    def linked(match: re.Match[str]) -> str:
        """Return a link where there is such a page."""
        target = match[1]
        return f"[{Path(target).stem}]({above}{target})" if target in known and target != page else match[0]

    def led(match: re.Match[str]) -> str:
        """Return a link to the page that is made from a file of the repository; other links as they are."""
        made = MADE_FROM.get(posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), match[1])))
        return match[0] if made is None else f"]({above}{made}{match[2] or ''})"

    parts = _FENCE.split(text)
    plain = [part if part.startswith("```") else _LINK.sub(led, _NAMED_PAGE.sub(linked, part)) for part in parts]
    return _TITLED_FENCE.sub(r"```{code-block} \1\n:caption: \2\n\n", "".join(plain))


def contents(known: set[str]) -> str:
    """Return the hidden tables of contents of the first page: one for each part, and the rest behind them."""
    parts = {part: list(names) for part, names in NAVIGATION.items()}
    placed = {name for names in parts.values() for name in names}
    rest = sorted(name for page in known if (name := page.removesuffix(".md")) not in placed)
    parts["How to"] += [name for name in rest if name != "index" and not name.startswith("decisions/")]
    return "\n".join(
        f"\n```{{toctree}}\n:hidden:\n:caption: {part}\n\n" + "\n".join(names) + "\n```"
        for part, names in parts.items()
    )


if __name__ == "__main__":
    (ROOT / "docs" / "glossary.md").write_text(glossary_page(), encoding="utf-8")
