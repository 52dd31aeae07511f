import json

import numpy as np

from equipoise.evaluation.candidates import Candidates
from equipoise.evaluation.detection import Findings
from equipoise.evaluation.matched_scans import MarkedScan
from equipoise.preprocessing.pipeline import Record
from equipoise.training.data.samples import Grid, Samples
from equipoise.training.tasks.detection_errors import MARKS, error_planes


def made(shape, spacing, marks):
    """Scans of one shape with findings of 6 mm at the given places, and candidates with scores."""
    scans = []
    for index, (places, candidates) in enumerate(marks):
        findings = Findings(
            np.array(places, float).reshape(-1, len(shape)), np.full(len(places), 6.0), np.ones(len(places), bool)
        )
        found = Candidates(
            np.array([c[:-1] for c in candidates], float).reshape(-1, len(shape)), np.array([c[-1] for c in candidates])
        )
        scans.append(MarkedScan.of(f"c{index}", f"p{index}", "test", found, findings))
    n = len(scans)
    images = np.random.default_rng(0).normal(size=(n, 1, *shape)).astype(np.float32)
    grids = (Grid(Record((), spacing).to_json(), spacing),) * n
    names = tuple(scan.case for scan in scans)
    return scans, Samples(images, images[:, 0], names, names, grids, findings=tuple(scan.findings for scan in scans))


def test_the_worst_come_first_with_their_scores():
    marks = [
        ([(10, 10)], [(10, 11, 0.9), (25, 25, 0.4)]),  # found; one false
        ([(10, 10), (20, 20)], [(25, 5, 0.8), (20, 20, 0.2)]),  # one never marked; one false
        ([], [(3, 3, 0.95)]),  # false alone
        ([(10, 10)], [(10, 10, 0.1)]),  # found last
        ([], []),
    ]
    planes = error_planes(*made((30, 30), (1.0, 1.0), marks))
    told = json.loads(planes.pop(MARKS).tobytes())
    assert list(planes) == list(told) == ["missed-0", "missed-1", "missed-2", "false-0", "false-1", "false-2"]
    assert [(told[f"missed-{k}"]["case"], told[f"missed-{k}"]["score"]) for k in range(3)] == [
        ("c1", None), ("c3", 0.1), ("c0", 0.9),
    ]  # fmt: skip
    assert [told[f"missed-{k}"]["higher"] for k in range(3)] == [3, 3, 1]
    assert [(told[f"false-{k}"]["case"], told[f"false-{k}"]["score"]) for k in range(3)] == [
        ("c2", 0.95), ("c1", 0.8), ("c0", 0.4),
    ]  # fmt: skip
    kinds = [mark[0] for mark in told["missed-0"]["marks"]]
    assert kinds.count("sought") == 2
    assert kinds.count("candidate") == 2
    assert ["sought", 10.0, 10.0, 3.0, 3.0] in told["missed-0"]["marks"]
    assert planes["missed-0"].shape == (30, 30)


def test_volumes_show_the_plane_of_the_finding_turned_for_a_reader():
    marks = [([(20, 6, 9), (4, 15, 15)], [(21, 15, 15, 0.7)])]  # mm; spacing 2 mm between planes
    scans, samples = made((16, 20, 24), (2.0, 1.0, 1.0), marks)
    planes = error_planes(scans, samples)
    told = json.loads(planes[MARKS].tobytes())
    volume = samples.images[0, 0]
    shown = planes["missed-0"].astype(float)
    wanted = volume[10, ::-1, ::-1]
    assert np.corrcoef(shown.ravel(), wanted.ravel())[0, 1] > 0.999
    (finding, candidate) = told["missed-0"]["marks"]
    assert finding == ["sought", 20 - 1 - 6, 24 - 1 - 9, 3.0, 3.0], "the other finding is far from this plane"
    assert candidate == ["candidate", 20 - 1 - 15, 24 - 1 - 15, 0.0, 0.0]


def test_without_errors_there_is_only_the_list():
    assert list(error_planes(*made((8, 8), (1.0, 1.0), [([], [])]))) == [MARKS]
