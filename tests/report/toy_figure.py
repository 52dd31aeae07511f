"""A figure of one's own in one file: how many test cases each patient has."""

from collections import Counter

from equipoise.report.figures.figure import PANEL, Figure
from equipoise.report.figures.svg import Drawing, Frame


def cases_per_patient(run, results):
    """A line over the test patients; None where the run lists no test case."""
    load = Counter(row["patient"] for row in run.cases if row["part_0"] == "test")
    if not load:
        return None
    rows = tuple(sorted(load.items()))
    drawing = Drawing(PANEL, 200, "Cases per patient", f"{len(rows)} test patients")
    frame = Frame(drawing, 36, 30, PANEL - 44, 130, (0, len(rows)), (0, max(load.values())))
    frame.curve(range(len(rows)), [count for _, count in rows], "c0")
    title = "Cases per patient"
    return Figure("cases-per-patient", title, "Test cases of each patient.", (drawing,), ("patient", "cases"), rows)
