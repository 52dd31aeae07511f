"""A single score off the scale of all others is named by its row; one that belongs there is left alone."""

import numpy as np
import pytest

from equipoise.errors import PredictionError
from equipoise.evaluation.external.audit_options import AuditOptions
from equipoise.evaluation.external.collection import collect
from equipoise.evaluation.external.score_strays import Place, fractions, outside

N = 60
PERCENT = [f"{value:.1f}" for value in np.random.default_rng(5).uniform(1.5, 98, N)]


def read(folder, cells, scores="percent", comma=False):
    """Collect a table of one vendor, its scores under a name of its own, beside a reference."""
    lines = [f"{100 + k};{cell.replace('.', ',') if comma else cell}" for k, cell in enumerate(cells)]
    (folder / "v.csv").write_text("\n".join(["Befund;KI-Wert", *lines]) + "\n")
    truth = [f"{100 + k};{k % 2}" for k in range(len(cells))]
    (folder / "r.csv").write_text("\n".join(["case;truth", *truth]) + "\n")
    options = AuditOptions(
        truth=folder / "r.csv", scores=scores, cases_are_patients=True,
        columns={"V1.case": ("Befund",), "V1.score": ("KI-Wert",)},
    )  # fmt: skip
    return collect([("V1", folder / "v.csv")], options)


def changed(cell, at=40):
    return [*PERCENT[:at], cell, *PERCENT[at + 1 :]]


@pytest.mark.parametrize("scores", ["percent", None, "logits"])
def test_a_lost_comma_is_named_by_its_row_whatever_was_stated(tmp_path, scores):
    where = r"v.csv has 629 of case '140' in row 42, column 'KI-Wert', which lies outside 0 to 100.*correct it"
    with pytest.raises(PredictionError, match=where) as raised:
        read(tmp_path, changed("629"), scores)
    assert ("percent" in str(raised.value)) == (scores != "percent")


def test_the_mark_of_a_missing_score_is_named_too(tmp_path):
    with pytest.raises(PredictionError, match=r"has -1 of case '140' in row 42.*leave its cell empty"):
        read(tmp_path, changed("-1"))
    assert np.isnan(read(tmp_path, changed("")).predictions.scores[40, 1])


def test_a_probability_off_its_scale_is_named_and_may_be_a_logit(tmp_path):
    cells = [f"{float(cell) / 100:.3f}" for cell in changed("629")]
    with pytest.raises(PredictionError, match=r"6.29 of case '140' in row 42.*0 to 1,.*or say that all are logits"):
        read(tmp_path, cells, None)


def test_logits_and_decision_values_are_no_strays(tmp_path):
    cells = [f"{value:.3f}" for value in np.random.default_rng(1).normal(0, 3, N)]
    with pytest.raises(PredictionError, match="say that they are logits") as raised:
        read(tmp_path, cells, None)
    assert "in row" not in str(raised.value)


def test_a_fraction_with_more_decimals_than_all_percentages_is_refused(tmp_path):
    with pytest.raises(PredictionError, match=r"has 0.629 of case '140' in row 42.*3 decimals.*at most 1.*write 62.9"):
        read(tmp_path, changed("0.629"), comma=True)


def test_a_fraction_that_its_decimals_do_not_betray_is_noted(tmp_path):
    """Without small percentages the file may have three digits everywhere, and 0.629 may be meant."""
    cells = [f"{float(cell) / 2 + 30:.1f}" for cell in PERCENT]
    collected = read(tmp_path, [*cells[:40], "0.629", *cells[41:]])
    (note,) = (one for one in collected.notes if "0.629" in one)
    assert "of case '140' in row 42" in note
    assert note.endswith("if it is a fraction, write it as a percentage (62.9).")


def test_real_small_percentages_pass(tmp_path):
    """Percentages of a logistic model reach below one; so do those that are written with three digits."""
    rng = np.random.default_rng(2)
    scores = 100 / (1 + np.exp(-rng.normal(-1.5, 1.8, 400)))
    assert 5 < (scores < 1).sum() < 80
    for cells in ([f"{one:.1f}" for one in scores], [f"{one:.3g}" for one in scores], [f"{one:.4f}" for one in scores]):
        assert not any("fraction" in note for note in read(tmp_path, cells).notes)
    assert not any("fraction" in note for note in read(tmp_path, changed("0.0")).notes)


def test_a_file_is_quoted_by_its_own_names(tmp_path):
    readings = read(tmp_path, PERCENT).readings
    assert any("The scores 'KI-Wert' of" in one for one in readings)
    assert not any("'score'" in one for one in readings if "was read as the score" not in one)
    with pytest.raises(PredictionError, match="'Artefakt' in column 'KI-Wert' of case '140' in row 42"):
        read(tmp_path, changed("Artefakt"))


@pytest.mark.parametrize("written", [".1f", ".2f", ".4f", ".2g", ".3g", ".6g"])
def test_no_sound_column_is_refused_however_it_is_rounded(written):
    """Percentages of logistic models of any spread and prevalence; the tails of few are noted, as one in a hundred."""
    draws, noted, columns = np.random.default_rng(3), 0, 0
    for _ in range(200):
        logits = draws.normal(draws.uniform(-4, 2), draws.uniform(0.3, 3), int(draws.integers(20, 600)))
        assert not len(outside(logits[:, None], 100))
        cells = np.array([format(one, written) for one in 100 / (1 + np.exp(-logits))], dtype=object)
        noted += len(fractions(cells.astype(float), Place("v.csv", "s", {"case": cells}), cells))
        columns += 1
    assert noted <= 0.03 * columns
