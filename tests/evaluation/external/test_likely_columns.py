"""The column that a refusal proposes is the one whose cells look like the role, whatever stands first."""

import numpy as np
import pytest

from equipoise.evaluation.external.likely_columns import likely, may_be_scores

TABLE = {
    "Pat.-Nr.": [f"{k // 2:05d}" for k in range(30)],
    "Diagnose": ["maligne" if k % 3 else "benigne" for k in range(30)],
    "Dauer [s]": [str(k % 4 + 2) for k in range(30)],
    "Befund": [f"{k:05d}" for k in range(30)],
    "KI (%)": ["" if k == 4 else f"{99 - 3.1 * k:.1f}" for k in range(30)],
}
COLUMNS = {name: np.array(cells, dtype=object) for name, cells in TABLE.items()}


@pytest.mark.parametrize(
    ("role", "name"), [("case", "Befund"), ("patient", "Pat.-Nr."), ("truth", "Diagnose"), ("score", "KI (%)")]
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_cells_tell(role: str, name: str, order: int) -> None:
    assert likely(role, COLUMNS, list(COLUMNS)[::order]) == name
    assert likely(role, COLUMNS, []) == "NAME"


def test_ids_and_words_are_no_scores() -> None:
    assert may_be_scores(COLUMNS, COLUMNS) == ["Dauer [s]", "KI (%)"]
    assert may_be_scores({"p": np.array(["", "n/a"], dtype=object)}, ["p"]) == []
