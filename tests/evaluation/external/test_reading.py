"""Names of cases from the paths that tools write."""

from equipoise.evaluation.external.reading import case_names


def test_stems_and_where_they_repeat_the_folder() -> None:
    assert case_names(["/d/a.nii.gz", "/e/b.png"]).tolist() == ["a", "b"]
    assert case_names(["/d/p1/seg.nii.gz", "/d/p2/seg.nii.gz"]).tolist() == ["p1/seg", "p2/seg"]
    assert case_names(["0", "1"]).tolist() == ["0", "1"]
