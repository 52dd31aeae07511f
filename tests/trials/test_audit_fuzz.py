"""Tables that were changed in every way people change them end in a verdict or in one sentence, never in a "
"traceback."""

import random
from pathlib import Path
from typing import Any

import pytest

from equipoise.errors import EquipoiseError
from equipoise.trials.audit import audit

CELLS = [
    "",
    "nan",
    "inf",
    "-1",
    "2",
    "1e300",
    "1e999",
    "x",
    "0,5",
    "1.234,5",
    "NA",
    "#N/A",
    " 1 ",
    "ä",
    '"',
    "1_0",
    "True",
]
HEADS = [
    *(
        "",
        "arm",
        "case",
        "patient",
        "truth",
        "score",
        "score_",
        "score_1",
        "y_pred",
        "findings",
        "dice",
        "Dice",
        "fold",
    ),
    *("seed", "split", "label", "value", "coordX", "Unnamed: 0", "mean", "filename", "class", "iou", "hd95"),
]
PRIMARIES = ["auc", "accuracy", "dice", "cpm", "sensitivity", "ppv", "brier", "sensitivity@0.90", "average_precision",
             "failure_rate", "hd95", "score", "nonsense", "balanced_accuracy"]  # fmt: skip
Table = list[list[str]]


def scores(source: random.Random) -> Table:
    rows = [["arm", "seed", "case", "patient", "truth", "score_0", "score_1"]]
    for arm in "AB":
        for i in range(24):
            p = min(max(source.gauss(0.4 + 0.2 * (i % 2), 0.2), 0), 1)
            rows.append([arm, "0", f"c{i}", f"p{i // 2}", str(i % 2), f"{1 - p:.3f}", f"{p:.3f}"])
    return rows


def sklearn_like(source: random.Random) -> Table:
    rows = [["model", "subject_id", "y_true", "y_prob", "y_pred"]]
    return rows + [[m, f"s{i}", str(i % 2), f"{source.random():.2f}", str(i % 2)] for m in "AB" for i in range(24)]


def dice(source: random.Random) -> Table:
    rows = [["algorithm", "case", "dice", "hd95"]]
    return rows + [
        [a, f"c{i}", f"{source.random():.3f}", f"{9 * source.random():.2f}"] for a in "AB" for i in range(31)
    ]


def wide(source: random.Random) -> Table:
    rows = [["StudyID", "y_true", "one", "two"]]
    return rows + [[f"c{i}", str(i % 2), f"{source.random():.3f}", f"{source.random():.3f}"] for i in range(24)]


def organs(source: random.Random) -> Table:
    rows = [["arm", "case", "organ", "dice"]]
    return rows + [
        [a, f"c{i}", o, f"{source.random():.3f}"] for a in "AB" for i in range(31) for o in ("liver", "spleen")
    ]


def candidates(source: random.Random) -> Table:
    rows = [["arm", "seriesuid", "coordX", "coordY", "coordZ", "probability"]]
    return rows + [
        [a, f"c{i}", *(f"{source.gauss(0, 9):.1f}" for _ in range(3)), f"{source.random():.2f}"]
        for a in "AB"
        for i in range(24)
    ]


def changed(table: Table, source: random.Random) -> Table:
    """The table after a few changes of cells, columns and rows."""
    rows = [list(row) for row in table]
    for _ in range(source.randint(1, 2)):
        kind, width = source.choice([0] * 14 + [1, 2, 3, 4, 5, 6, 6, 7, 8]), len(rows[0])
        column, row = source.randrange(width), source.randrange(1, len(rows))
        if kind == 0:
            rows[row][min(column, len(rows[row]) - 1)] = source.choice(CELLS)
        elif kind == 1:
            rows[0][column] = source.choice(HEADS)
        elif kind == 2 and width > 1:
            rows = [one[:column] + one[column + 1 :] for one in rows]
        elif kind == 3:
            rows = [[*one, one[min(column, len(one) - 1)]] for one in rows]
        elif kind == 4:
            rows = rows[: max(row, 2)]
        elif kind == 5:
            rows.append(list(rows[row]))
        elif kind == 6:
            value = source.choice(CELLS)
            rows = [rows[0], *([*one[:column], value, *one[column + 1 :]] for one in rows[1:])]
        elif kind == 7:
            source.shuffle(rows[0])
        else:
            rows[row] = rows[row][:column] or [""]
    return rows


def written(rows: Table, path: Path, source: random.Random) -> Path:
    separator = source.choice([",", ",", ";", "\t"])
    text = "\n".join(separator.join(row) for row in rows)
    encoding = source.choice(["utf-8", "utf-8-sig", "cp1252", "utf-16"])
    path.write_bytes(text.encode(encoding, errors="replace"))
    return path


def options(maker: Any, source: random.Random, findings: Path) -> dict[str, Any]:
    """Options that fit the table as it was, and others that a user may try."""
    made: dict[str, Any] = {"cases_are_patients": source.random() < 0.9}
    made |= {"primary": source.choice(PRIMARIES)} if source.random() < 0.4 else {}
    made |= {"columns": "arms=one+two"} if maker is wide else {}
    made |= {"truth": findings} if maker is candidates else {}
    tries = {
        "margin": 0.05, "threshold": 0.5, "common_cases": True, "positive": "1", "scores": "logits", "metric": "dice",
        "subgroups": ["organ"], "control": "A", "regions": "one=1", "ignore": [3], "columns": "case=case",
    }  # fmt: skip
    return made | {name: value for name, value in tries.items() if source.random() < 0.05}


def outcome(path: Path, given: dict[str, Any], out: Path | None = None) -> str:
    """The verdict, or the sentence of the refusal; anything else is raised."""
    try:
        results = audit(path, out=out, **given)
    except EquipoiseError as error:
        return str(error)
    return results["comparisons"][0]["verdict"] if results["comparisons"] else "one arm"


@pytest.mark.long
@pytest.mark.parametrize("rounds", [50, pytest.param(1000, marks=pytest.mark.slow)])
def test_changed_tables_end_in_a_verdict_or_a_sentence(tmp_path: Path, rounds: int) -> None:
    findings = tmp_path / "findings.csv"
    findings.write_text(
        "seriesuid,coordX,coordY,coordZ,diameter_mm\n" + "".join(f"c{i},0,0,0,9\n" for i in range(24)), encoding="utf-8"
    )
    source, ends = random.Random(rounds), []
    for number in range(rounds):
        for maker in (scores, sklearn_like, dice, wide, organs, candidates):
            path = written(changed(maker(source), source), tmp_path / f"t{number % 7}.csv", source)
            out = tmp_path / f"{maker.__name__}{number}" if number % 25 == 0 else None
            ends.append(outcome(path, options(maker, source, findings), out))
    assert len(ends) == 6 * rounds
    assert not [end for end in ends if "\n" in end]
    verdicts = {"a_better", "b_better", "equivalent", "not_enough_data", "refused", "single_run", "one arm"}
    # Neither may everything be refused, nor everything be read.
    assert 0.1 < sum(end in verdicts for end in ends) / len(ends) < 0.9


@pytest.mark.parametrize("maker", [scores, sklearn_like, dice, wide, organs, candidates])
def test_the_tables_as_they_are_have_a_verdict(maker: Any, tmp_path: Path) -> None:
    source = random.Random(1)
    findings = tmp_path / "findings.csv"
    findings.write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\n" + "".join(f"c{i},0,0,0,9\n" for i in range(24)))
    given: dict[str, Any] = {"cases_are_patients": maker not in (scores, sklearn_like)}
    given |= {"truth": findings} if maker is candidates else {}
    given |= {"columns": "arms=one+two"} if maker is wide else {}
    path = written(maker(source), tmp_path / "table.csv", random.Random(0))
    assert outcome(path, given) in ("a_better", "b_better", "not_enough_data", "refused")
