"""Images in a folder of each person are judged with their folders where every case is said to be a patient."""

from pathlib import Path

import numpy as np
import pytest

from equipoise.evaluation.external import AuditOptions, collect
from equipoise.evaluation.external.twins import joined_twins
from equipoise.evaluation.predictions import Predictions


def collected(folder: Path, path: str, persons: int = 20, **options: bool) -> Predictions:
    """Read two arms of four images of each person, whose scores agree; path: of an image, by arm, person and image."""
    stream = np.random.default_rng(0)
    for arm in "ab":
        level = stream.normal(size=persons).repeat(4) + 0.3 * stream.normal(size=4 * persons)
        scores = 1 / (1 + np.exp(-level))
        rows = [f"{path.format(arm=arm, p=k // 4, k=k)},{k % 2},{one:.6f}" for k, one in enumerate(scores)]
        (folder / f"{arm}.csv").write_text("\n".join(["filename,truth,score", *rows]))
    stated = AuditOptions(**{"cases_are_patients": True, **options})
    return collect([(None, folder / f"{arm}.csv") for arm in "ab"], stated).predictions


@pytest.mark.parametrize(
    "path", ["data/P{p:03d}/image_{k:04d}.png", "/{arm}/out/P{p:03d}/{k:04d}.png", "C:\\{arm}\\P{p:03d}\\{k:04d}.jpg"]
)
def test_images_of_one_folder_are_joined_where_scores_say_so(tmp_path: Path, path: str) -> None:
    table, notes = joined_twins(collected(tmp_path, path))
    assert len(set(table.case.tolist())) == 80
    assert len(set(table.patient.tolist())) == 20
    assert "'P000/" in notes[0]


@pytest.mark.parametrize(
    "path", ["test/{k:04d}.png", "{arm}/test/{k:04d}.png", "/data/{k:04d}/image_{k}.png", "{k:04d}.png"]
)
def test_folders_that_tell_nothing_are_left_out(tmp_path: Path, path: str) -> None:
    table = collected(tmp_path, path)
    assert table.patient.tolist() == table.case.tolist()


def test_a_few_folders_may_be_hospitals(tmp_path: Path) -> None:
    few = collected(tmp_path, "P{p:03d}/{k:04d}.png", persons=9)
    assert few.patient.tolist() == few.case.tolist()
