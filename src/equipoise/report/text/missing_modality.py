"""The table of each arm's performance without each modality."""

from collections.abc import Mapping
from typing import Any

from equipoise.report.text.words import interval, number


def missing_table(results: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any] | None:
    """Return headings (modalities) and rows (arm, cells of text) for the page; None where no modality was omitted."""
    rows = results["missing_modalities"]
    if not rows:
        return None
    modalities = list(dict.fromkeys(row["modality"] for row in rows))
    by_place = {(row["arm"], row["modality"]): row for row in rows}
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    cells = [(names.get(arm, arm), [_cell(by_place.get((arm, one))) for one in modalities]) for arm in arms]
    return {"heads": [f"without {name}" for name in modalities], "rows": cells}


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None or row["estimate"] is None:
        return "–"
    return f"{number(row['estimate'])} ({interval(row['low'], row['high'])})"
