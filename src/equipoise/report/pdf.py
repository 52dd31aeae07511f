"""The report as a PDF file, printed by a Chromium that is installed; nothing is downloaded for it."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from equipoise.atomic_write import write_bytes
from equipoise.errors import EquipoiseError
from equipoise.plain_files import text_of
from equipoise.runfolder.paths import REPORT, REPORT_PDF

BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge",
)  # fmt: skip
"""Programs that print a page without a window; the variable EQUIPOISE_BROWSER names another."""
LONGEST_SECONDS = 300


def browser() -> str:
    """Return the program that prints; raises EquipoiseError where there is none."""
    named = os.environ.get("EQUIPOISE_BROWSER")
    for name in (named,) if named else BROWSERS:
        program = shutil.which(name)
        if program is not None:
            return program
    if named:
        raise EquipoiseError(f"EQUIPOISE_BROWSER names {named!r}, which is no program here; name Chromium or Chrome")
    raise EquipoiseError(
        "--pdf prints with Chromium or Chrome, and neither is installed; install one (`apt-get install chromium`), or "
        f"open {REPORT} in any browser and print it"
    )


def write_pdf(folder: Path) -> Path:
    """Print the report of a run folder to report.pdf, every section open; return the file.

    Raises EquipoiseError where no browser is installed, or it fails.
    """
    program = browser()
    page = text_of(folder / REPORT)
    with tempfile.TemporaryDirectory(prefix="equipoise-") as place:
        # Open in the page itself, because not every version of a browser prints what is in a closed section.
        source = Path(place) / REPORT
        source.write_text(
            page.replace("<details", "<details open").replace("<details open open", "<details open"), "utf-8"
        )
        printed = Path(place) / REPORT_PDF
        command = [
            program, "--headless", "--disable-gpu", "--no-pdf-header-footer", f"--user-data-dir={place}/profile",
            # Chromium refuses its sandbox to the administrator, as in a container; the page is our own.
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            f"--print-to-pdf={printed}", source.as_uri(),
        ]  # fmt: skip
        _run(command)
        if not printed.is_file() or not printed.read_bytes().startswith(b"%PDF"):
            raise EquipoiseError(f"{program} made no PDF file; open {folder / REPORT} in a browser and print it")
        write_bytes(folder / REPORT_PDF, printed.read_bytes())
    return folder / REPORT_PDF


def _run(command: list[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=LONGEST_SECONDS)  # noqa: S603
    except (OSError, subprocess.SubprocessError) as error:
        text = " ".join(str(error).split())[:200]
        raise EquipoiseError(
            f"{command[0]} could not print the report ({text}); open {REPORT} in a browser and print it"
        ) from error
