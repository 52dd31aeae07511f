"""An audit has the page of a trial, says only what predictions can know, and advises no further."""

import re
from pathlib import Path

import numpy as np
import pytest

from equipoise.report.results.audit import recommendation
from equipoise.report.text.audit import use
from equipoise.report.text.reasons import sentence
from equipoise.trials.audit import audit


def arm(name: str, estimate: float | None) -> dict[str, object]:
    return {"name": name, "parameters": None, "cost": {}, "seeds": [0], "endpoints": {"auc": {"estimate": estimate}}}


def test_an_arm_is_advised_only_where_it_stands_alone() -> None:
    arms = [arm("a", 0.9), arm("b", 0.8)]
    won = [{"a": "a", "b": "b", "verdict": "a_better"}]
    alone = recommendation(arms, won, "auc", 1)
    assert alone["accuracy"]["arm"] == "a"
    tied = recommendation(arms, [{**won[0], "verdict": "not_enough_data"}], "auc", 1)
    assert tied["accuracy"]["arm"] is None
    assert tied["accuracy"]["tied_with"] == ["a", "b"]
    assert tied["speed"]["arm"] is None
    assert "no information on speed" in sentence(tied["balanced"]["reason"])
    nobody = recommendation([arm("a", None)], [], "auc", 1)
    assert nobody["accuracy"]["arm"] is None


def test_which_one_to_use_in_words() -> None:
    names = {"a": "A", "b": "B"}

    def told(arms: list[dict[str, object]], verdict: str) -> str:
        pairs = [{"a": "a", "b": "b", "verdict": verdict}]
        advice = recommendation(arms, pairs, "auc", 1)
        plan = {"primary": "auc", "higher_is_better": True}
        results = {"arms": arms, "comparisons": pairs, "recommendation": advice, "endpoints": plan}
        return use(results | {"cohort": {"classes": ["no", "yes"]}}, names)

    both = [arm("a", 0.9), arm("b", 0.8)]
    assert told(both, "a_better").startswith("A has the best AUC: every other arm")
    assert told(both, "equivalent").startswith("Any of A and B")
    assert told(both, "not_enough_data").startswith("No recommendation")  # undecided is not equal
    assert told(both, "single_run").startswith("No recommendation")
    assert told([arm("a", None), arm("b", None)], "refused") == "These predictions cannot answer this."
    assert told(both[:1], "refused") == "Predictions of one arm cannot answer this."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of two arms of three runs."""
    rng = np.random.default_rng(4)
    truth = np.tile(np.arange(90) % 2, 6)
    score = 1 / (1 + np.exp(-(1.5 * (truth - 0.5) + rng.normal(size=540))))
    table = {
        "arm": np.repeat(["x", "y"], 270), "seed": np.tile(np.repeat(np.arange(3), 90), 2),
        "case": np.tile(np.arange(90).astype(str), 6), "patient": np.tile((np.arange(90) // 2 * 2).astype(str), 6),
        "truth": truth.astype(str), "score_0": 1 - score, "score_1": score,
    }  # fmt: skip
    out = tmp_path_factory.mktemp("audit")
    audit(table, margin=0.05, out=out)
    return (out / "report.html").read_text(encoding="utf-8")


def words(page: str, section: str) -> str:
    found = re.search(rf'<section id="{section}">(.*?)</section>', page, flags=re.DOTALL)
    assert found is not None, section
    return re.sub(r"<[^>]+>", " ", found[1])


@pytest.mark.long
def test_the_first_line_says_what_it_is(page: str) -> None:
    body = page[page.index("<body>") :]
    assert body.index("Exploratory") < body.index("<h1>")
    assert "no ledger proves when the test set was opened" in body[: body.index("<h1>")]


@pytest.mark.long
def test_the_page_has_every_section_that_predictions_can_fill(page: str) -> None:
    found = re.findall(r'<section id="([^"]+)"', page)
    for section in ("sources", "differences", "endpoints", "roc", "confusion", "examples", "calibration", "net-benefit",
                    "variance", "methods", "checklists", "provenance"):  # fmt: skip
        assert section in found
    for section in ("cost", "learning", "data", "completeness"):
        assert section not in found
        assert f'href="#{section}"' not in page


@pytest.mark.long
def test_the_methods_claim_nothing_that_is_not_known(page: str) -> None:
    told = words(page, "methods")
    assert "90 test cases of 45 patients, 3 training runs each" in told
    assert "is not known" in told
    for claim in ("locked", "equal budget", "assigned to training", "was opened", "validation patients"):
        assert claim not in told
    assert "training runs as readers nested in arms" in told


def test_the_checklists_leave_training_to_the_author(page: str) -> None:
    told = words(page, "checklists")
    assert "Locked before training" not in told
    assert "Random, from the seeds" not in told
    assert "Primary: AUC" in told


@pytest.mark.long
def test_one_run_each_is_not_said_to_be_readers(tmp_path: Path) -> None:
    table = {
        "arm": ["x"] * 60 + ["y"] * 60, "case": [str(i) for i in range(60)] * 2, "truth": ["n", "p"] * 60,
        "score_n": np.random.default_rng(1).random(120), "score_p": np.random.default_rng(2).random(120),
    }  # fmt: skip
    audit(table, cases_are_patients=True, out=tmp_path)
    told = words((tmp_path / "report.html").read_text(encoding="utf-8"), "methods")
    assert "one training run each" in told
    assert "readers" not in told
    assert "two one-sided tests" not in told
