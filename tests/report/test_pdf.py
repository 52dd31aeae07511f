"""The report as PDF: by a browser that is installed, every section open, else one sentence."""

import shutil
import stat
import sys

import pytest

from equipoise.errors import EquipoiseError
from equipoise.report import pdf


@pytest.fixture
def folder(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "report.html").write_text("<details><summary>s</summary>inside</details><details open>o</details>")
    return run


def browser(tmp_path, body):
    """A program in place of a browser: it notes what it was asked to print."""
    program = tmp_path / "browser"
    program.write_text(f"#!{sys.executable}\nimport sys, pathlib, urllib.request, urllib.parse\n{body}")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return str(program)


PRINTS = """
out = next(one.split("=", 1)[1] for one in sys.argv if one.startswith("--print-to-pdf="))
page = pathlib.Path(urllib.request.url2pathname(urllib.parse.urlparse(sys.argv[-1]).path))
pathlib.Path(out).write_bytes(b"%PDF" + page.read_bytes())
"""


def test_every_section_is_open(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_BROWSER", browser(tmp_path, PRINTS))
    printed = pdf.write_pdf(folder).read_text()
    assert printed.count("<details open>") == 2
    assert "open open" not in printed


@pytest.mark.parametrize(("body", "complaint"), [("sys.exit(3)", "could not print"), ("", "made no PDF")])
def test_a_browser_that_fails_is_one_sentence(folder, tmp_path, monkeypatch, body, complaint):
    monkeypatch.setenv("EQUIPOISE_BROWSER", browser(tmp_path, body))
    with pytest.raises(EquipoiseError, match=complaint):
        pdf.write_pdf(folder)
    assert not (folder / "report.pdf").exists()


def test_no_browser_is_one_sentence_with_a_remedy(folder, monkeypatch):
    monkeypatch.delenv("EQUIPOISE_BROWSER", raising=False)
    monkeypatch.setattr(pdf.shutil, "which", lambda _name: None)
    with pytest.raises(EquipoiseError, match="install one"):
        pdf.write_pdf(folder)
    monkeypatch.setenv("EQUIPOISE_BROWSER", "nothing-here")
    with pytest.raises(EquipoiseError, match="EQUIPOISE_BROWSER names 'nothing-here'"):
        pdf.browser()


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, pdf.BROWSERS)), reason="no Chromium or Chrome is installed")
def test_a_real_browser_prints_the_page(folder):
    assert pdf.write_pdf(folder).read_bytes().startswith(b"%PDF")
