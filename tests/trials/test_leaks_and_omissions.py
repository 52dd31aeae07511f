"""What may be left out, allowed or contradicted is said where the verdict stands."""

import dataclasses

import numpy as np
import pytest

import equipoise
from equipoise.cohorts.splits.leakage import Leak
from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol
from equipoise.report.text.verdicts import answers
from equipoise.testing.phantoms.cases import phantom
from equipoise.trials import plan as planning
from equipoise.trials.plan import plan, refusals, search_leaks

TEXT = '[cohort]\nsource = "phantom"\n[split]\n{split}\n[[arms]]\nname = "a"\nmodel = "unet"\n'


def trial(split: str = "", **changes):
    cohort = dataclasses.replace(phantom(cases=60, size=12), **changes)
    return plan(Protocol.parse(TEXT.format(split=split)), cohort, "unused")


@pytest.mark.parametrize(("kind", "words"), [("equal", "(equal: the channel t1)"), ("copy", "b (the channel t1) of 1")])
def test_a_refusal_names_the_channel_that_is_shared(kind, words):
    (reason,) = refusals(trial(), [Leak("a", "b", kind, "the channel t1")])
    assert words in reason
    assert 'split.not_leaks = [["a", "b"]]' in reason


@pytest.mark.parametrize(
    ("kind", "changes", "refused"),
    [
        ("near", {}, False),
        ("equal", {}, True),
        ("patient", {}, True),
        ("copy", {}, True),
        ("near copy", {}, False),
        ("near copy", {"patients_known": False}, False),
        ("near", {"patients_known": False}, True),
        ("near", {"patients_known": False, "patients_guessed": True}, True),
    ],
)
def test_likeness_alone_refuses_no_stated_patient(kind, changes, refused):
    reasons = refusals(trial(**changes), [Leak("phantom-00000", "phantom-00001", kind)])
    assert bool(reasons) is refused


def test_copies_in_one_part_are_refused_in_one_sentence_with_the_first_pairs():
    copies = [Leak("a", name, "copy") for name in "bcde"]
    (reason,) = refusals(trial(), copies)
    assert reason.count("\n") == 0
    assert "first a and b, a and c, a and d of 4 pairs" in reason
    assert 'correct the patient ids, or set split.not_leaks = [["a", "b"]]' in reason
    assert refusals(trial("allow_leaks = true"), copies) == []


def test_the_remedy_for_guesses_is_to_group():
    (reason,) = refusals(trial(patients_known=False), [Leak("a", "b", "near")])
    assert 'split.patients = "guessed"' in reason
    (reason,) = refusals(trial(), [Leak("a", "b", "equal")])
    assert 'split.not_leaks = [["a", "b"]]' in reason


def test_declared_pairs_are_no_leaks_of_likeness(monkeypatch):
    a, b = "phantom-00000", "phantom-00001"
    every = [Leak(a, b, "near"), Leak(b, a, "equal"), Leak(a, b, "patient"), Leak(a, "phantom-00002", "near")]
    monkeypatch.setattr(planning, "find_leaks", lambda *_: every)
    assert search_leaks(trial()) == every
    assert search_leaks(trial(f'not_leaks = [["{b}", "{a}"]]')) == every[2:]
    with pytest.raises(ProtocolError, match="has no case 'nobody'"):
        search_leaks(trial(f'not_leaks = [["{a}", "nobody"]]'))


@pytest.mark.parametrize("value", ['["a"]', '[["a"]]', '[["a", "a"]]', '[["a", "b", "c"]]', '"a"'])
def test_other_forms_of_pairs_are_refused(value):
    with pytest.raises(ProtocolError, match="not_leaks"):
        Protocol.parse(TEXT.format(split=f"not_leaks = {value}"))


def test_a_protocol_without_pairs_keeps_its_hash():
    plain, empty = (Protocol.parse(TEXT.format(split=split)) for split in ("", "not_leaks = []"))
    assert plain.sha256() == empty.sha256()
    assert plain.sha256() != Protocol.parse(TEXT.format(split='not_leaks = [["a", "b"]]')).sha256()


def dice_table(n=60, lacking=12):
    rng = np.random.default_rng(3)
    rows: dict[str, list] = {name: [] for name in ("case", "patient", "split", "arm", "fold", "seed", "dice")}
    for arm in "ab":
        for seed in range(3):
            for k in range(n):
                if arm == "b" and k < lacking:
                    continue
                value = float(np.clip(0.8 + 0.05 * rng.standard_normal() + 0.05 * (arm == "b"), 0, 1))
                row = (f"c{k}", f"p{k}", "test", arm, 0, seed, value)
                for name, one in zip(rows, row, strict=True):
                    rows[name].append(one)
    return rows


def test_cases_that_were_left_out_stand_in_the_verdict():
    results = equipoise.audit(dice_table(), "dice", margin=0.01, common_cases=True)
    assert results["left_out"] == {"cases": 12, "of": 60, "reasons": {"no_row": 12}}
    assert any("12 of 60 test cases were left out" in reason for reason in results["exploratory_reasons"])
    first = answers(results, {"a": "a", "b": "b"})[0].answer
    assert "12 of 60 test cases were left out, because an arm has no row of them." in first


def test_nothing_is_said_where_nothing_was_left_out():
    results = equipoise.audit(dice_table(lacking=0), "dice", margin=0.01, common_cases=True)
    assert "left_out" not in results
    assert len(results["exploratory_reasons"]) == 1
