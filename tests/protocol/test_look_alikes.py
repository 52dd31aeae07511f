"""Two names that a page shows alike are one name, whatever characters they are made of."""

import pytest

from equipoise import audit
from equipoise.cohorts.splits.patient_names import one_spelling
from equipoise.errors import PredictionError, ProtocolError
from equipoise.protocol import Protocol
from equipoise.protocol.look_alikes import skeleton

ARM = '[[arms]]\nname = "{}"\nmodel = "unet"\n'
TEXT = '[cohort]\nsource = "phantom"\n' + ARM.format("netA") + ARM
ALIKE = ["net\u0410", "net\uff21", "n\u0435tA", "net\u0391", "netA\u200b"]


@pytest.mark.parametrize("name", ALIKE)
def test_one_skeleton_for_what_looks_alike(name: str) -> None:
    assert name != "netA"
    assert skeleton(name) == "netA"


def test_names_that_differ_to_the_eye_stay_apart() -> None:
    names = ["netA", "neta", "netB", "net\u0411", "\u043f\u0435\u0442", "\u03b2net", "net-A", "net1", "netl"]
    assert len({skeleton(name) for name in names}) == len(names)


@pytest.mark.parametrize("name", ["net\u0410", "n\u0435tA"])
def test_protocols_and_audits_refuse_arms_that_look_alike(name: str) -> None:
    with pytest.raises(ProtocolError, match="look alike; give the arms names that readers can tell apart"):
        Protocol.parse(TEXT.format(name))
    Protocol.parse(TEXT.format("netB"))
    rows = {"arm": ["netA", name] * 20, "case": [f"c{k // 2}" for k in range(40)], "dice": [k / 40 for k in range(40)]}
    with pytest.raises(PredictionError, match="look alike but differ"):
        audit(rows, "dice", cases_are_patients=True)


def test_patients_that_look_alike_are_one() -> None:
    assert one_spelling(["p01", "\u04401"]) == {"\u04401": "p01"}
