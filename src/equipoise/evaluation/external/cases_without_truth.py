"""Cases of a table that the reference says nothing about: left out where the caller allows it (`--common-cases`)."""

from collections.abc import Mapping

import numpy as np

from equipoise.evaluation.external.agreement import NO_TRUTH, LeftOut
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.likeness import plain
from equipoise.evaluation.external.reading import Columns, RowNumbers


def with_truth(
    columns: Columns, source: str, options: AuditOptions, truth: Mapping[str, str] | None, rows: RowNumbers
) -> tuple[Columns, list[str]]:
    """Return the rows of a table whose case has a truth, and a note on the others; all rows without the permission.

    truth: case → class of the reference. rows: numbers of the rows, from which those of rows left out are taken. Cases
    that look like one of the reference stay: they are refused, because their ids are what has to be mended.
    """
    if not options.common_cases or truth is None or "case" not in columns or "truth" in columns:
        return columns, []
    cases = columns["case"].astype(str)
    looks = {plain(case) for case in truth}
    lost = {case for case in dict.fromkeys(cases.tolist()) if case not in truth and plain(case) not in looks}
    kept = ~np.isin(cases, sorted(lost))
    if not lost or not kept.any():
        return columns, []
    n = len(rows.numbers)
    # A wide table has its rows once for each arm, in the same order.
    rows.numbers = rows.numbers[kept[:n]] if n and len(kept) % n == 0 else rows.numbers
    number = f"{len(lost)} case{'s' * (len(lost) > 1)} of {source} {'have' if len(lost) > 1 else 'has'} no truth"
    note = f"{number} in the reference {options.truth} and {'were' if len(lost) > 1 else 'was'} left out, as requested."
    return {name: values[kept] for name, values in columns.items()}, [LeftOut(note, dict.fromkeys(lost, NO_TRUTH))]
