"""Ids that differ by blanks, capitals, a suffix or zeros in front: one case, or one person, under two names."""

import re
from collections.abc import Collection, Sequence

from equipoise.errors import PredictionError
from equipoise.evaluation.external.reading import stem
from equipoise.evaluation.predictions import Predictions
from equipoise.protocol.look_alikes import skeleton


def plain(name: str) -> str:
    """Return an id without what people and tools write differently.

    >>> plain(" Case_007.nii.gz"), plain("case 7"), plain("007.0")
    ('case7', 'case7', '7')
    """
    # Programs that take ids for numbers write 88699.0.
    name = re.sub(r"^(\d+)\.0+$", r"\1", skeleton(name).strip())
    # Between two digits a separator tells numbers apart: 1-23 and 12-3 are two names.
    text = re.sub(r"(?<!\d)[\s_\-]+|[\s_\-]+(?!\d)", "", stem(name.strip()).lower())
    return re.sub(r"\d+", lambda digits: str(int(digits[0])), text)


def refuse_unlisted(
    cases: Sequence[str], known: Collection[str], source: str, where: str, further: str | None = None
) -> None:
    """Raise PredictionError for cases of a source that a list lacks; `where`: the list, in words.

    further: another remedy, beside completing the list.
    """
    cases = list(dict.fromkeys(cases))
    unknown = [case for case in cases if case not in known]
    if not unknown:
        return
    number = (
        f"no case of {source} is"
        if len(unknown) == len(cases)
        else (f"{len(unknown)} of {len(cases)} cases of {source} are not")
    )
    spelled = {plain(name): name for name in known}
    near = [(case, spelled[plain(case)]) for case in unknown if plain(case) in spelled]
    if near:
        case, name = near[0]
        raise PredictionError(
            f"{number} in {where}; {case!r} looks like {name!r} ({len(near)} such cases): write the ids alike in both "
            "files, as text where they begin with zeros" + ("" if further is None else f", {further}")
        )
    remedy = "add them to it, or remove their rows" if further is None else f"add them to it, {further}"
    raise PredictionError(f"{number} in {where}, {unknown[0]!r} first; {remedy}")


def alike_arms(table: Predictions) -> None:
    """Refuse two arms whose names look alike: the runs of one method would be compared with each other."""
    names: dict[str, str] = {}
    for arm in table.arms():
        other = names.setdefault(plain(arm), arm)
        if other != arm:
            raise PredictionError(
                f"the arms {other!r} and {arm!r} look alike but differ; use one name for an arm in all rows, or give "
                "two arms names that differ by more than capitals, blanks, zeros and letters of other scripts"
            )


def alike_cases(table: Predictions, *, common_cases: bool) -> list[str]:
    """Refuse arms that lack a case under its name and have one that looks like it, or note them."""
    cases = {arm: set(table.case[table.arm == arm].tolist()) for arm in table.arms()}
    everywhere = set.intersection(*cases.values())
    for arm, own in cases.items():
        own_plain = {plain(case): case for case in own - everywhere}
        for other, others in cases.items():
            twins = [(own_plain[plain(case)], case) for case in sorted(others - own) if plain(case) in own_plain]
            if not twins:
                continue
            text = (
                f"case {twins[0][0]!r} of {arm} and case {twins[0][1]!r} of {other} look alike but differ "
                f"({len(twins)} such cases)"
            )
            if not common_cases or not everywhere:
                # Without a case of every arm, leaving these out would leave nothing.
                rest = ", or leave them out (--common-cases)" if everywhere else ", as text where ids begin with zeros"
                raise PredictionError(f"{text}; use one name for a case in all files{rest}")
            return [f"{text[0].upper()}{text[1:]}; they were left out, as requested."]
    return []


def alike_patients(table: Predictions) -> list[str]:
    """Note patients whose ids look alike: taken for two people, their cases would count as independent."""
    groups: dict[str, list[str]] = {}
    for patient in sorted(set(table.patient.tolist())):
        groups.setdefault(plain(patient), []).append(patient)
    twins = [group for group in groups.values() if len(group) > 1]
    if not twins or _are_cases(table):
        return []
    note = (
        f"The patients {twins[0][0]!r} and {twins[0][1]!r} look alike and were taken for two people ({len(twins)} "
        "such groups); if they are one, use one name."
    )
    return [note]


def _are_cases(table: Predictions) -> bool:
    return bool((table.patient == table.case).all())
