"""The site builds without a network; its checks see dead links, missing anchors and other hosts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "site"))

import accessible
import api
import gallery
import links
import pages

ROOT = Path(__file__).resolve().parents[2]


def write(folder, **texts):
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")


def test_sound_pages_have_no_problem(tmp_path):
    write(tmp_path, one='<h1 id="top"></h1><a href="two.html#end">x</a><a href="#top">y</a>', two='<p id="end"></p>')
    assert links.problems(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('<a href="gone.html">x</a>', "one.html links to gone.html, which is not there"),
        ('<a href="#gone">x</a>', "one.html links to #gone, and that page has no such anchor"),
        ('<img src="gone.png">', "one.html loads gone.png, which is not there"),
        (
            '<script src="https://example.org/x.js"></script>',
            "one.html loads https://example.org/x.js from another host",
        ),
        ('<link rel="stylesheet" href="//example.org/x.css">', "one.html loads //example.org/x.css from another host"),
    ],
)
def test_every_kind_of_problem_is_seen(tmp_path, text, complaint):
    write(tmp_path, one=text)
    assert links.problems(tmp_path) == [complaint]


def test_links_to_other_hosts_are_links_and_no_loads(tmp_path):
    write(tmp_path, one='<a href="https://example.org/">x</a><link rel="canonical" href="https://example.org/">')
    assert links.problems(tmp_path) == []
    (tmp_path / "a.css").write_text("@import 'https://example.org/font.css';")
    assert links.problems(tmp_path) == ["a.css loads from another host"]


def test_pages_are_usable_by_keyboard_and_screen_reader():
    page = (
        '<p class="caption" role="heading">Start</p><div class="table-wrapper x"><table></table></div>'
        '<pre id="a">b</pre><aside class="sidebar-drawer"></aside><aside class="toc-drawer no-toc"></aside>'
    )
    repaired = accessible.accessible(page)
    assert repaired == (
        '<p class="caption" role="heading" aria-level="2">Start</p><div class="table-wrapper x" tabindex="0">'
        '<table></table></div><pre tabindex="0" id="a">b</pre><aside class="sidebar-drawer" aria-label="All pages">'
        '</aside><aside class="toc-drawer no-toc" aria-label="This page"></aside>'
    )
    assert accessible.accessible(repaired) == repaired


MARKDOWN = [*ROOT.glob("*.md"), *(page for page in (ROOT / "docs").rglob("*.md") if "site" not in page.parts)]


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere_in_a_checkout_too(page):
    text = pages._FENCE.sub("", page.read_text(encoding="utf-8"))
    assert [link for link, _ in pages._LINK.findall(text) if not (page.parent / link).exists()] == []


def test_links_to_files_lead_to_the_pages_that_are_made_from_them():
    assert all((ROOT / file).is_file() for file in pages.MADE_FROM)
    text = "[a](../../CONTRIBUTING.md), [b](../../src/equipoise/report/text/glossary.py#arm) and [c](runs.md)"
    made = pages.for_site(text, "howto/margin.md", set())
    assert made == "[a](../contributing.md), [b](../glossary.md#arm) and [c](runs.md)"


def test_names_of_pages_become_links_and_titles_captions():
    known = {"statistics.md", "howto/margin.md"}
    text = 'See `docs/statistics.md` and `docs/none.md`.\n\n```python title="a.py"\n`docs/statistics.md`\n```\n'
    made = pages.for_site(text, "howto/margin.md", known)
    assert "See [statistics](../statistics.md) and `docs/none.md`." in made
    assert "```{code-block} python\n:caption: a.py\n\n`docs/statistics.md`\n```" in made


def test_every_page_of_the_repository_has_a_place():
    known = {file.relative_to(ROOT / "docs").as_posix() for file in (ROOT / "docs").rglob("*.md")}
    known = {name for name in known if not name.startswith("site/")}
    tree = pages.contents(known | set(pages.generated("# Gallery")))
    for name in known:
        assert name == "index.md" or name.startswith("decisions/") or f"\n{name.removesuffix('.md')}\n" in tree


def test_every_link_to_the_glossary_ends_in_a_word():
    from equipoise.report.text.glossary import TERMS

    kept = {"".join(one for one in term.name.lower() if one.isalnum() or one in " -") for term in TERMS}
    words = {name.replace(" ", "-") for name in kept}
    for page in (ROOT / "docs").rglob("*.md"):
        linked = set(re.findall(r"glossary\.md#([\w-]+)", page.read_text(encoding="utf-8")))
        assert linked <= words, page.name


def test_the_glossary_of_a_checkout_is_that_of_the_reports():
    """Somebody who reads docs/ without the site is led to words and not to source code."""
    assert (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8") == pages.glossary_page(), (
        "renew it: python docs/site/pages.py"
    )
    for page in (ROOT / "docs").rglob("*.md"):
        assert "glossary.py" not in page.read_text(encoding="utf-8"), page.name


def test_the_reference_describes_functions_classes_and_modules():
    described = api.described("equipoise.testing.model.check_model")
    assert described.startswith("```python\ndef check_model(")
    assert "### `ProtocolError`" in api.described("equipoise.errors")
    assert "**`Protocol.load`**" in api.described("equipoise.protocol.protocol.Protocol")
    with pytest.raises(LookupError, match="which has no source"):
        api.fill_in("::: equipoise.errors.Nothing")


@pytest.mark.trial
def test_the_gallery_shows_three_kinds_of_answers(tmp_path):
    text = gallery.write_gallery(tmp_path)
    assert "has a better AUC" in text
    assert "do not show whether" in text
    assert len(list(tmp_path.rglob("report.html"))) == len(gallery.GALLERY) == 3


@pytest.mark.trial
def test_the_site_builds_without_a_problem(tmp_path):
    pytest.importorskip("furo", reason="the documentation's packages (requirements/docs.txt) are not installed")
    # In a process of its own: Sphinx and its extensions warn, and warnings are errors here.
    command = [sys.executable, str(ROOT / "docs" / "site" / "build.py"), "--out", str(tmp_path / "site")]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "no dead link, no other host" in result.stdout
    text = (tmp_path / "site" / "catalogue" / "models.html").read_text(encoding="utf-8")
    assert "resnet101" in text
    assert (tmp_path / "site" / "gallery" / "two-products" / "report.html").is_file()
