"""Refuse what a caller states beside files that have no use for it: an option that is ignored looks as if it acted."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from equipoise.errors import PredictionError
from equipoise.evaluation.external import detections, masks, medmnist, monai, nnunet
from equipoise.evaluation.external.audit_options import PERCENT, AuditOptions
from equipoise.evaluation.external.join import Part
from equipoise.evaluation.external.likely_columns import may_be_scores
from equipoise.evaluation.external.lists import PATIENTS, SCOPES
from equipoise.evaluation.external.roles import ROLES, known_metric
from equipoise.evaluation.external.scopes import options_of_arm
from equipoise.evaluation.external.structures import description
from equipoise.evaluation.external.unknown_scores import refuse_unknown_scores
from equipoise.evaluation.external.wide_structures import regions_to_type

SCORE = "score_"
_TOOLS = (masks.KIND, medmnist.KIND, monai.METRICS, monai.VALUES, nnunet.KIND)


def refuse_unused(parts: Sequence[Part], options: AuditOptions, truth: Mapping[str, str] | None) -> None:
    """Raise PredictionError for the first thing stated that no file has a use for; `truth`: that of a CSV, if read."""
    refuse_unknown_scores(parts, options, truth, _TOOLS)
    for is_given, used, option, why in _rules(parts, options, truth):
        if is_given and not any(used(part) for part in parts):
            kinds = ", ".join(dict.fromkeys(part.reading.kind for part in parts))
            remedy = "" if ";" in why else "; leave it out"
            raise PredictionError(f"{option} does nothing with these files ({kinds}): {why}{remedy}")


_Rule = tuple[bool, Callable[[Part], bool], str, str]


def _rules(parts: Sequence[Part], options: AuditOptions, truth: Mapping[str, str] | None) -> Iterator[_Rule]:
    yield _states_columns(options), _is_table, "--columns", "their columns are those of the tool that wrote them"
    why = "they hold no table of class scores, and percentages of no metric that is a share, as Dice is"
    yield options.scores is not None, _has_a_scale(options), "--scores", why
    yield options.positive is not None, _has_scores, "--positive", "they hold no class scores"
    yield bool(options.classes), _unnamed_scores(truth), "--classes", "they hold no unnamed class scores"
    yield options.metric is not None, _measures(options), "--metric", _without_use_of_metric(parts, options)
    yield bool(options.regions), _has_regions(options, truth), "--regions", "they hold no such structures"
    yield (
        options.truth is not None,
        _needs_truth(options, truth),
        "--truth",
        _without_use_of_truth(parts),
    )
    yield options.patients is not None, _lacks_patients, "--patients", _without_use_of_patients(options)
    alone = options.cases_are_patients and options.patients is None
    yield alone, _lacks_patients, "--cases-are-patients", "they name the patient of every case"
    both = options.cases_are_patients and options.patients is not None
    yield both, lambda _: False, "--cases-are-patients", "a list of patients is given, which contradicts it"


def _without_use_of_metric(parts: Sequence[Part], options: AuditOptions) -> str:
    """Return why a metric has no use, with the structures that headings may be."""
    names = [name for part in parts if _is_table(part) for name in may_be_scores(part.reading.columns, _free(part))]
    typed = regions_to_type(dict.fromkeys(one for one in names if one not in options.subgroups))
    why = "they hold no unnamed values"
    return f"{why}; if columns are structures, name them ({typed.removeprefix('--metric dice ')})" if typed else why


def _free(part: Part) -> list[str]:
    return [name for name in part.reading.columns if name not in ROLES and not known_metric(name)]


def _without_use_of_truth(parts: Sequence[Part]) -> str:
    """Return why a truth has no use: a table's own column, or values that were computed with a truth before."""
    own = [str(part.reading.used.get("truth", "truth")) for part in parts if "truth" in part.reading.columns]
    if own:
        return f"they hold the truth already (column {own[0]!r})"
    return "they hold values of metrics, which were computed with a truth before, and need none"


def _without_use_of_patients(options: AuditOptions) -> str:
    """Return why a list of patients has no use: another statement, or a list of other cases, since it beats a guess."""
    roles = [role for role in options.columns if role.rpartition(".")[2] == "patient"]
    own = [role for role in roles if role.rpartition(".")[0] != SCOPES[PATIENTS]]
    if not own:
        return "no case of theirs is in the list; name the cases alike in both, or leave it out"
    return (
        f"--columns states their own column of patients; leave {'= and '.join(own)}= out of it, so that the list "
        "decides, or leave --patients out"
    )


def _states_columns(options: AuditOptions) -> bool:
    """Whether a column is stated for the predictions: by its scope, or because no list beside them has it."""
    listed = {name for one in options.lists for name in one.columns.values()}
    return any(
        role.rpartition(".")[0] not in SCOPES.values() and not set(names) <= listed
        for role, names in options.columns.items()
    )


def _is_table(part: Part) -> bool:
    return part.reading.kind not in _TOOLS


def _has_scores(part: Part) -> bool:
    return any(name.startswith(SCORE) for name in part.reading.columns)


def _has_a_scale(options: AuditOptions) -> Callable[[Part], bool]:
    def used(part: Part) -> bool:
        """Return whether a table has class scores, or metrics that are shares and were called percentages."""
        percent = options_of_arm(options, part.arm).scores == PERCENT
        shared = percent and any(options.is_share(name) for name in part.reading.columns)
        return _is_table(part) and (_has_scores(part) or shared)

    return used


def _unnamed_scores(truth: Mapping[str, str] | None) -> Callable[[Part], bool]:
    return lambda part: part.reading.kind == medmnist.KIND or (part.reading.kind == monai.VALUES and truth is not None)


def _measures(options: AuditOptions) -> Callable[[Part], bool]:
    name = str(options.metric)
    tools = (masks.KIND, nnunet.KIND, medmnist.KIND)
    return lambda part: (
        part.reading.kind not in tools
        and any(one == name or one.startswith(f"{name}_") for one in part.reading.columns)
    )


def _has_regions(options: AuditOptions, truth: Mapping[str, str] | None) -> Callable[[Part], bool]:
    def used(part: Part) -> bool:
        """Return whether labels or channels get these names, or columns of metrics have them."""
        if part.reading.kind == monai.VALUES:
            return truth is None and bool(part.reading.structures)
        if part.reading.kind in (masks.KIND, nnunet.KIND, monai.METRICS):
            return True
        return all(any(name.endswith(f"_{region}") for name in part.reading.columns) for region in options.regions)

    return used


def _needs_truth(options: AuditOptions, truth: Mapping[str, str] | None) -> Callable[[Part], bool]:
    def used(part: Part) -> bool:
        """Return whether masks, scores or candidates are compared with this truth, or a dataset.json lies beside it."""
        kind = part.reading.kind
        if kind in (masks.KIND, medmnist.KIND, detections.KIND):
            return True
        if kind == nnunet.KIND:
            return not options.regions and options.truth is not None and description([options.truth]) is not None
        return truth is not None and _has_scores(part) and "truth" not in part.reading.columns

    return used


def _lacks_patients(part: Part) -> bool:
    return "patient" not in part.reading.columns or part.reading.kind == detections.KIND
