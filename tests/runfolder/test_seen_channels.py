"""Test cases are recognised by each of their files and channels: one modality of a patient is the patient.

A channel more or less hid an earlier look at images of several channels, and weights that were trained on one channel
of the test cases were said to know none of them.
"""

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from cohorts.splits.test_shared_channels import BLANK, MASK, cohort_of
from runfolder.test_reuse_of_test_cases import TEXT, altered, carried_out

from equipoise.cohorts import Cohort, store
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.splits.split import Fold
from equipoise.runfolder import registry_file
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.opened_cases import OpenedCases, opened_cases
from equipoise.runfolder.place import Place
from equipoise.runfolder.study_family import families
from equipoise.runfolder.training_registry import register_trainings, trainings_on

PATIENTS = "abcdefghijklmnopqrstuvwxyz"
T1, T2 = range(8), range(100, 108)
BOTH = list(zip(T1, T2, strict=True))
ANOTHER = altered(TEXT, ("Which is", "Is which"))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(registry_file, "cache_folder", store.cache_folder)
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def patients(rows: list[tuple[int, ...]], **named: object) -> Cohort:
    return cohort_of(rows, PATIENTS[: len(rows)], tuple(f"t{k + 1}" for k in range(len(rows[0]))), **named)


def seen(cohort: Cohort, chosen: range | None = None, *, pixels: bool = True) -> OpenedCases:
    """What a trial keeps of a cohort of which it opens these cases, all by default, and is trained on the same."""
    test = np.array(chosen or range(len(cohort)))
    fold = Fold(test, np.empty(0, np.int64), test)
    return opened_cases(cohort, [fold], CaseCards(cohort).all() if pixels else None)


def shared(ours: OpenedCases, theirs: OpenedCases) -> int:
    return ours.shared_with(theirs.files, theirs.pixels_to_keep, theirs.parts_to_keep)


def without_files(cohort: Cohort) -> Cohort:
    return replace(cohort, cases=tuple(replace(case, sha256=MappingProxyType({})) for case in cohort.cases))


def rewritten(cohort: Cohort) -> Cohort:
    """The cohort with other files, as if every picture had been saved again."""
    cases = (
        replace(case, sha256=MappingProxyType({name: f"f{value[1:]}" for name, value in case.sha256.items()}))
        for case in cohort.cases
    )
    return replace(cohort, cases=tuple(cases))


@pytest.mark.parametrize(
    "other",
    [[(k,) for k in T1], [(k,) for k in T2], [(k, k) for k in T1], [(b, a) for a, b in BOTH],
     [(a, b, 300 + a) for a, b in BOTH], [(a, 300 + a) for a in T1], [(300 + a, 400 + a, b) for a, b in BOTH]],
    ids=["t1", "t2", "t1 twice", "swapped", "one more", "another t2", "t2 as third"],
)  # fmt: skip
@pytest.mark.parametrize("by", ["files", "pixels", "both"])
def test_any_shared_channel_is_the_same_case(other: list[tuple[int, ...]], by: str) -> None:
    first, second = patients(BOTH), patients(other)
    if by == "pixels":
        second = rewritten(second)
    one, two = (seen(cohort, pixels=by != "files") for cohort in (first, second))
    assert shared(one, two) == shared(two, one) == 8


@pytest.mark.long
def test_other_images_are_other_cases() -> None:
    one = seen(patients(BOTH))
    assert shared(one, seen(patients([(500 + k, 600 + k) for k in T1]))) == 0
    # Of some, some.
    mixed = [(k, 600 + k) if k < 5 else (500 + k, 600 + k) for k in T1]
    assert shared(one, seen(patients(mixed))) == 5
    assert shared(seen(patients(BOTH), range(6)), seen(patients(mixed), range(4, 8))) == 1


@pytest.mark.parametrize("same", [BLANK, MASK, 50])
def test_a_channel_that_is_the_same_for_all_proves_nothing(same: int) -> None:
    """A blank channel, a plain region, an atlas: equal in two cohorts of different patients, of files and pixels."""
    one, two = seen(patients([(k, same) for k in T1])), seen(patients([(500 + k, same) for k in T1]))
    assert shared(one, two) == shared(two, one) == 0
    alone = seen(patients([(600, same), (601, 602), (603, 604)]))
    assert shared(alone, one) == shared(one, alone) == 0


def test_blank_channels_and_pictures_of_single_patients_are_not_the_same_case() -> None:
    one, two = seen(patients([(1, BLANK), (2, 3)])), seen(patients([(4, BLANK), (5, 6)]))
    assert shared(one, two) == 0
    assert shared(seen(patients([(BLANK,), (2,)])), two) == shared(seen(patients([(BLANK,), (2,)])), one) - 1 == 0
    another = replace(patients([(BLANK,), (8,)]), name="another")
    assert shared(seen(patients([(BLANK,), (7,)])), seen(another)) == 0


@pytest.mark.long
def test_empty_masks_and_tables_are_not_the_same_case() -> None:
    def with_masks(cohort: Cohort) -> Cohort:
        cases = (
            replace(
                case,
                sha256=MappingProxyType({**case.sha256, "mask.png": "e" * 64 if k == 0 else f"{900 + k:064d}"}),
                truth_files=frozenset({"mask.png"}),
            )
            for k, case in enumerate(cohort.cases)
        )
        return replace(cohort, cases=tuple(cases))

    one, two = patients([(k,) for k in T1]), patients([(500 + k,) for k in T1])
    assert shared(seen(with_masks(one)), seen(with_masks(two))) == 0
    assert shared(seen(with_masks(one)), seen(one)) == 8
    table = MappingProxyType({"a.npz": "a" * 64, "a.csv": "b" * 64})
    tables = [replace(c, cases=tuple(replace(case, sha256=table) for case in c.cases)) for c in (one, two)]
    assert shared(seen(tables[0]), seen(replace(tables[1], name="another"))) == 0


def test_single_channels_cost_nothing() -> None:
    assert seen(patients([(k,) for k in T1])).parts_to_keep == []
    assert seen(without_files(patients([(k, k) for k in T1]))).parts_to_keep == []
    both = seen(patients(BOTH))
    assert len(both.parts_to_keep) == 4 * 8
    assert all(len(one) == 16 for one in both.parts_to_keep)


@pytest.mark.long
def test_a_second_trial_on_one_modality_is_exploratory(tmp_path: Path, cache: Path) -> None:
    both, one = patients([(k, 100 + k) for k in range(26)]), patients([(k,) for k in range(26)])
    assert carried_out(tmp_path / "both", TEXT, both, pixels=True) == []
    (reason,) = carried_out(tmp_path / "t1", ANOTHER, one, pixels=True)
    assert reason.startswith("2 of its 2 test cases had been opened once before by other plans")
    # Lines of earlier versions have no parts: they are compared as before.
    file = cache / "openings.jsonl"
    rows = [row for row in map(json.loads, file.read_text().splitlines()) if "cases" in row]
    file.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "parts"}) + "\n" for row in rows[:1]))
    assert carried_out(tmp_path / "again", ANOTHER, both, pixels=True)[0].startswith("2 of its 2 test cases")
    file.write_text(json.dumps({k: v for k, v in rows[1].items() if k != "parts"}) + "\n")
    assert carried_out(tmp_path / "further", TEXT, both, pixels=True)[0].startswith("2 of its 2 test cases")


def test_weights_of_one_modality_have_seen_the_case(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.append("locked")
    plan = {"name": "prepare", "protocol_sha256": "p", "cohort": {"fingerprint": "f"}}
    place = Place(tmp_path, None, None)
    design = {"arms": [], "settings": "s"}
    register_trainings(plan, "a plan", seen(patients([(k, k) for k in T1[:6]])), ledger, design, place)
    test = seen(patients(BOTH), range(3, 8))
    ((training, number),) = trainings_on(test, "another plan")
    assert (number, training.name) == (3, "prepare")
    assert trainings_on(seen(patients([(700 + k, b) for k, (_, b) in enumerate(BOTH)])), "another plan") == []


def test_trials_of_a_study_on_two_modalities_are_one_family() -> None:
    opened = {f"c{k}/net": (str(k), seen(patients(rows))) for k, rows in enumerate((BOTH, [(k,) for k in T2]))}
    assert families(opened) == [{"a": "c0/net", "b": "c1/net", "test_cases_shared": 8}]
