"""Tables whose column of scores has a name that nobody knows, beside a truth or a statement that needs scores.

Read as metrics, their columns would make the truth look useless; the caller is asked for the column instead.
"""

from collections.abc import Mapping, Sequence
from shlex import quote

from equipoise.errors import PredictionError
from equipoise.evaluation.external import detections
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.join import Part
from equipoise.evaluation.external.likely_columns import likely, may_be_scores
from equipoise.evaluation.external.roles import ROLES, known_metric
from equipoise.evaluation.external.wide_structures import regions_to_type
from equipoise.evaluation.predictions import SCORE


def refuse_unknown_scores(
    parts: Sequence[Part], options: AuditOptions, truth: Mapping[str, str] | None, tools: Sequence[str]
) -> None:
    """Raise PredictionError, with the column to type, for tables without scores where scores are needed.

    truth: case → class of a reference. tools: the kinds of files whose columns their tools name.
    """
    needs = {"--truth": truth, "--positive": options.positive, "--scores": options.scores}
    given = [option for option, value in needs.items() if value is not None]
    if not given:
        return
    unknown = [(part, names) for part in parts if (names := _candidates(part, options, tools))]
    if not unknown:
        return
    part, names = unknown[0]
    columns, scope = part.reading.columns, f"{part.arm}." if part.arm else ""
    free = [name for name in columns if name not in ROLES and name not in options.subgroups]
    lacking = [role for role in ("case",) if role not in columns]
    roles = {role: likely(role, columns, [one for one in free if one not in names]) for role in lacking}
    roles["score"] = likely("score", columns, names)
    typed = ",".join(f"{scope}{role}={quote(name)}" for role, name in roles.items())
    what = " and the ".join(f"{role}" for role in roles)
    shares = regions_to_type(names) if given == ["--scores"] else ""
    structures = f"; if they are structures, name them and the metric ({shares})" if shares else ""
    raise PredictionError(
        f"{part.reading.path} has no column that is known as the {what} (it has {', '.join(free)}); say which one is "
        f"(--columns {typed}), or, if the columns are metrics, leave {' and '.join(given)} out{structures}"
    )


def _candidates(part: Part, options: AuditOptions, tools: Sequence[str]) -> list[str]:
    """Return the columns of a table that may be its scores; none where it has scores, or a metric that is known."""
    columns, kind = part.reading.columns, part.reading.kind
    if kind in (*tools, detections.KIND) or "truth" in columns or any(name.startswith(SCORE) for name in columns):
        return []
    free = [name for name in columns if name not in ROLES and name not in options.subgroups]
    if any(known_metric(name) or name in (options.metric, options.primary) for name in free):
        return []
    return may_be_scores(columns, free)
