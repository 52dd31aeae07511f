"""Settings of the sources of LIDC-IDRI: a stated view is kept or refused; what a folder gave becomes a cohort."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from equipoise.cohorts.cohort import Case, Exclusion, Image, Problem
from equipoise.cohorts.finding_labels import IRRELEVANT_CLASS
from equipoise.cohorts.lidc import nodules, scans
from equipoise.cohorts.lidc.nodules import lidc_nodules
from equipoise.cohorts.lidc.scans import lidc
from equipoise.cohorts.lidc.settings import Entries, Settings, cohort_of, view_of
from equipoise.errors import CohortError, ProtocolError
from equipoise.tasks import task_named

PLAIN = Settings("classification", "malignancy", "mean", 2, 0.5, "volume", 48, 1.0, "stop")
VIEWS = {"lidc": scans.VIEWS, "lidc-nodules": nodules.VIEWS}
DEFAULTS = {
    ("lidc", "classification"): "volume", ("lidc", "segmentation"): "volume", ("lidc", "detection"): "scan",
    ("lidc-nodules", "classification"): "slices", ("lidc-nodules", "segmentation"): "volume",
}  # fmt: skip


def case(number: int) -> Case:
    return Case(f"c{number}", f"p{number}", lambda: Image(np.zeros((1, 8, 8, 8), np.float32), (1.0,) * 3), number % 2)


@pytest.mark.parametrize(("source", "task"), DEFAULTS)
@pytest.mark.parametrize("view", [None, "", "slices", "volume", "scan", "Slices", 0, False, ["slices"]])
def test_a_stated_view_is_kept_or_refused_and_none_is_the_default(source, task, view):
    views = VIEWS[source]
    allowed = views[task_named(task).truth]
    if view is None:
        assert view_of(source, views, task, view) == DEFAULTS[source, task]
    elif view in allowed:
        assert view_of(source, views, task, view) == view
    else:
        with pytest.raises(ProtocolError, match=r"^cohort\.view is .* for the task .* leave the key out$") as refusal:
            view_of(source, views, task, view)
        assert repr(view) in str(refusal.value)
        assert all(one in str(refusal.value) for one in allowed)


@pytest.mark.parametrize("source", [lidc, lidc_nodules])
def test_segmentation_of_slices_is_refused_before_any_file_is_read(source, tmp_path):
    with pytest.raises(ProtocolError, match="cohort.view is 'slices'; for the task segmentation"):
        source(tmp_path / "nowhere", task="segmentation", view="slices")


def test_a_task_that_a_source_does_not_offer_is_refused_with_those_it_does():
    with pytest.raises(ProtocolError, match="'detection'; lidc-nodules offers classification, segmentation: choose"):
        view_of("lidc-nodules", nodules.VIEWS, "detection", None)


@pytest.mark.parametrize(
    "change",
    [{"label": "size"}, {"truthing": "guess"}, {"on_problem": "ignore"}, {"min_readers": 5}, {"agreement": 0.0},
     {"size": 4}, {"spacing_mm": 9.0}],
)  # fmt: skip
def test_settings_that_no_cohort_can_follow_are_refused(change):
    with pytest.raises(ProtocolError, match=f"cohort.{next(iter(change))}"):
        replace(PLAIN, **change)


def test_entries_are_sorted_and_problems_may_be_excluded():
    problem, out = Problem("x", "x.xml", "is torn", "fetch it again"), Exclusion("y", "y", "too few readers")
    known = Problem("z", "z.dcm", "cannot be read", "exclude the case")
    stopped = Entries.sorted_out([case(0), problem, out, case(1)], [], [known], "stop")
    assert [one.id for one in stopped.cases] == ["c0", "c1"]
    assert (stopped.excluded, stopped.problems) == ((out,), (known, problem))
    left_out = Entries.sorted_out(iter([case(0), problem, out]), [], [known], "exclude").excluded
    assert [str(one) for one in left_out] == ["too few readers", "z.dcm: cannot be read", "x.xml: is torn"]


def test_the_view_decides_channels_axes_and_size():
    entries = Entries((case(0), case(1)), (), (Problem("x", "x.xml", "is torn", "fetch it again"),))
    slices = cohort_of("one", Path("f"), replace(PLAIN, view="slices"), entries, ("note",))
    assert (slices.channels, slices.spatial_dims) == (("axial", "coronal", "sagittal"), 2)
    assert (slices.classes, slices.notes, len(slices.problems)) == (("benign", "malignant"), ("note",), 1)
    cube = cohort_of("one", Path("f"), replace(PLAIN, view="volume", on_problem="exclude"), entries, ())
    assert (cube.channels, cube.spatial_dims, cube.size_attribute, cube.problems) == (("ct",), 3, "diameter_mm", ())
    scan = replace(PLAIN, task="detection", view="scan")
    unlabelled = Entries(tuple(replace(one, label=None) for one in entries.cases), (), ())
    cohort = cohort_of("one", Path("f"), scan, unlabelled, ())
    assert (cohort.classes, cohort.size_attribute) == (("background", "nodule", IRRELEVANT_CLASS), None)


def test_a_folder_without_a_case_names_the_first_problem():
    empty = Entries(
        (), (), (Problem("x", "x.xml", "is torn", "fetch it again"), Problem("y", "y.xml", "is torn", "fetch it again"))
    )
    with pytest.raises(CohortError, match=r"^f gives no nodule of LIDC-IDRI: x\.xml: is torn; give the folder with"):
        cohort_of("one", Path("f"), PLAIN, empty, (), "nodule")
