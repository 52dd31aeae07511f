"""A table of predictions as it was read, with the names of roles, metrics and scores that the statistics know."""

from collections.abc import Mapping

from equipoise.evaluation.external import detections
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.case_folders import folders_of
from equipoise.evaluation.external.cases_without_truth import with_truth
from equipoise.evaluation.external.class_columns import other_sums, own_names, score_columns, with_scores
from equipoise.evaluation.external.reading import Caution, Reading, RowNumbers, has_places
from equipoise.evaluation.external.roles import known_metric, structures_of, with_roles
from equipoise.evaluation.external.score_cells import plain_numbers
from equipoise.evaluation.external.share_columns import shares, without_signs
from equipoise.evaluation.external.table_file import TableFile
from equipoise.evaluation.external.wide_structures import by_region, heading_of, means_over
from equipoise.evaluation.external.word_columns import without_words


def reading_of(
    table: TableFile, source: str, kind: str, options: AuditOptions, truth: Mapping[str, str] | None
) -> Reading:
    """Return a table whose columns have the names of their roles.

    kind: in words. truth: case → class of a reference. Raises PredictionError for a table that cannot be understood.
    """
    used, rows = dict[str, str](), RowNumbers(table.rows)
    measured = [name for name in table.columns if known_metric(name)]
    measured += [name for name in options.columns.get("arms", ()) if options.is_share(str(options.metric))]
    if options.is_share(str(options.metric)):
        measured += [name for name in table.columns if heading_of(name, options.regions) and name not in measured]
    raw, signs = without_signs(table.columns, [name for name in measured if name in table.columns], source)
    listed = {name for one in options.lists for name in one.columns.values()} - raw.keys()
    by_role = {role: names for role, names in options.columns.items() if not listed & set(names)}
    columns, notes = with_roles(raw, source, by_role, options.metric, options.subgroups, used=used, rows=rows)
    if has_places(columns):
        return Reading(source, detections.KIND, columns, (), table.sha256, readings=(*table.notes, *notes), used=used)
    columns, untrue = with_truth(columns, source, options, truth, rows)
    columns, named = by_region(columns, list(options.regions), source, options.metric)
    columns, options, cells = plain_numbers(columns, score_columns(columns), source, rows, options, own_names(used))
    columns, more = with_scores(columns, source, options, truth, used, rows)
    columns, scaled = shares(columns, source, options, rows, signed=bool(signs))
    columns, means = means_over(columns, list(options.regions), source, options.metric)
    remarks = [*notes, *named, *cells, *signs, *more, *scaled, *means]
    cautions = [*untrue, *(one for one in remarks if isinstance(one, Caution)), *other_sums(columns, source)]
    plain, aside = without_words(columns, source, options.subgroups, arm_stated=options.arm_stated)
    words = {name: cells for name, cells in columns.items() if name not in plain}
    return Reading(
        source, kind, plain, tuple(cautions), table.sha256, structures=structures_of(raw, plain), aside=words,
        readings=(*table.notes, *(one for one in remarks if one not in cautions), *aside), used=used,
        folders=folders_of(raw, used),
    )  # fmt: skip
