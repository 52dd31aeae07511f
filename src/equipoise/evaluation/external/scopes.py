"""What the caller states for one file alone: `--columns V1.case=StudyID`, `--scores V1=percent`.

A scope is the name of an arm, or of a file beside the predictions: `truth` for the reference, `patients`, `training`.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import LOGITS, PERCENT, PROBABILITIES, AuditOptions
from equipoise.evaluation.external.lists import SCOPES
from equipoise.lookup import nearest

SCALES = (PROBABILITIES, PERCENT, LOGITS)
By = Mapping[str, tuple[str, ...]]


def columns_of_arm(columns: By, arm: str) -> dict[str, tuple[str, ...]]:
    """Return role → columns for the files of an arm: what is stated for it, and for all files where it is not.

    >>> columns_of_arm({"case": ("ID",), "V1.case": ("StudyID",), "V2.score": ("p",)}, "V1")
    {'case': ('StudyID',)}
    """
    general = {role: names for role, names in columns.items() if "." not in role}
    own = {role.rpartition(".")[2]: names for role, names in columns.items() if role.rpartition(".")[0] == arm}
    return {**general, **own}


def parse_scores(given: str | None) -> dict[str, str]:
    """Read arm → scale; "" is every other arm. Raises PredictionError for what is none.

    >>> parse_scores("logits"), parse_scores("V1=percent,V2=logits")
    ({'': 'logits'}, {'V1': 'percent', 'V2': 'logits'})
    """
    if given is None:
        return {}
    pairs = [(arm.strip(), scale.strip()) for arm, _, scale in (one.rpartition("=") for one in given.split(","))]
    for _, scale in pairs:
        if scale not in SCALES:
            raise PredictionError(
                f"--scores {scale!r} is no scale; write {', '.join(SCALES[:-1])} or {SCALES[-1]}, for one arm "
                f"ARM={PERCENT}"
            )
    return dict(pairs)


def scores_text(given: str | Mapping[str, str] | None) -> str | None:
    """Return what is stated of scores in the command line's spelling."""
    return given if given is None or isinstance(given, str) else ",".join(f"{arm}={one}" for arm, one in given.items())


def options_of_arm(options: AuditOptions, arm: str) -> AuditOptions:
    """Return what holds for the files of an arm."""
    scales = parse_scores(options.scores)
    return replace(
        options, columns=columns_of_arm(options.columns, arm), scores=scales.get(arm, scales.get("")), arm=arm
    )


def refuse_unknown_scopes(options: AuditOptions, arms: Collection[str]) -> None:
    """Raise PredictionError where something is stated for an arm, or for a file beside them, that is not there.

    arms: those that files or the caller name.
    """
    known = [*dict.fromkeys(arms), *(SCOPES[one.kind] for one in options.lists if one.kind in SCOPES)]
    scopes = [(f"--columns {role}", role.rpartition(".")[0]) for role in options.columns if "." in role]
    for option, scope in scopes:
        if scope not in known:
            raise PredictionError(f"{option} is for {scope!r}, which is no arm and no list; {nearest(scope, known)}")
    for scope in parse_scores(options.scores):
        if scope and scope not in arms:
            raise PredictionError(f"--scores is for {scope!r}, which is no arm; {nearest(scope, list(arms))}")
