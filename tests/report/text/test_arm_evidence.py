"""What a trial says for and against one arm, and the command that exports it."""

from types import SimpleNamespace

import pytest

from equipoise.report import export_step
from equipoise.report.text.arm_evidence import arm_evidence
from equipoise.report.text.export_command import export_command, model_cards, next_step, notes_on
from equipoise.runfolder.own_code import own_code_of_arm

LOCK = {"name": "t", "question": "q"}


def results_with(verdict, *, exploratory=(), better="higher"):
    """Results of one arm and two trivial rules, of which the second is the stronger."""

    def entry(name, value):
        return {"name": name, "endpoints": {"auc": {"estimate": value, "low": 0.1, "high": 0.9, "n_patients": 9}}}

    sign = 1 if better == "higher" else -1
    pairs = [{"a": "net", "b": "weak", "verdict": "a_better", "reason": "clear."},
             {"a": "strong", "b": "net", "verdict": verdict, "reason": "so it is."}]  # fmt: skip
    return {
        "endpoints": {"primary": "auc", "higher_is_better": better == "higher"}, "arms": [entry("net", 0.5)],
        "untuned": [], "baselines": [entry("weak", 0.5 - 0.1 * sign), entry("strong", 0.5 + 0.1 * sign)],
        "baseline_comparisons": pairs, "comparisons": [], "exploratory": bool(exploratory),
        "exploratory_reasons": list(exploratory),
    }  # fmt: skip


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_only_an_arm_that_beat_the_strongest_rule_goes_without_a_reason(better):
    assert arm_evidence(LOCK, "net", results_with("b_better", better=better))["overruled"] == []
    for verdict in ("a_better", "equivalent", "not_enough_data", "refused"):
        assert (
            "does not show that it is better than strong"
            in arm_evidence(LOCK, "net", results_with(verdict, better=better))["overruled"][0]
        )
    planned = arm_evidence(LOCK, "net", results_with("b_better", better=better))
    assert (planned["exploratory"], planned["exploratory_reasons"]) == (False, [])
    reasons = ["the test set was opened 2 times", "its record could not be verified"]
    exploratory = arm_evidence(LOCK, "net", results_with("b_better", exploratory=reasons, better=better))
    assert (exploratory["exploratory"], exploratory["exploratory_reasons"]) == (True, reasons)
    assert exploratory["overruled"] == [f"the trial is exploratory: {'; '.join(reasons)}"]


def test_the_rate_of_failures_is_evidence():
    results = results_with("b_better")
    assert "failures" not in arm_evidence(LOCK, "net", results)
    rates = {"failure_rate": (0.239, 0.139, 0.381), "failure_rate_core": (0.5, None, None)}
    results["arms"][0]["endpoints"] |= {
        name: dict(zip(("estimate", "low", "high"), values, strict=True)) for name, values in rates.items()
    }
    (sentence,) = arm_evidence(LOCK, "net", results)["failures"]
    assert sentence == (
        "failure rate 24 % (95 % interval 14 to 38 %; a case fails with a Dice below 0.1; mean of the training runs)"
    )


def run_with(tmp_path, *, model="unet", source="arrays", task="classification", sources=()):
    """A run folder of one arm, as far as the command looks at it."""
    folder = tmp_path / "my run"
    folder.mkdir(exist_ok=True)
    (folder / "protocol.toml").write_text(f'[cohort]\nsource = "{source}"\n')
    lock = LOCK | {"cohort": {"task": task}, "arms": [{"name": "net", "model": {"name": model}, "optimizer": "adam"}]}
    return SimpleNamespace(path=folder, lock=lock, sources=sources, untuned=list)


def test_the_command_is_the_exact_one(tmp_path):
    won, lost = results_with("b_better"), results_with("a_better")
    run = run_with(tmp_path)
    command = "equipoise export 'my run' --arm net --out net-bundle"
    assert export_command(run, won, "net") == command
    assert export_command(run, won, "net", "../x") == command.replace("'my run'", "../x")
    assert list(notes_on(command)) == []
    (rounded,) = notes_on(command, "bfloat16")
    assert "computed in bfloat16 and a bundle computes in float32" in rounded
    own = export_command(run_with(tmp_path, model="mine:Net"), lost, "net")
    assert own == f"{command} --trust-code --although REASON"
    assert [note.split()[0] for note in notes_on(own)] == ["It", "Write"]
    exploratory = list(notes_on(own, reasons=["the trial is exploratory: it was opened twice"]))[-1]
    assert exploratory.startswith("The trial is exploratory: it was opened twice. Write in place of REASON why")
    lost_to = list(notes_on(own, reasons=["the trial does not show that it is better than x"]))[-1]
    assert lost_to.startswith("The trial does not support this arm: the trial does not show")
    assert "--trust-code" in export_command(run_with(tmp_path, source="mine:cohort"), won, "net")
    for other in (run_with(tmp_path, task="mine:TASK"), run_with(tmp_path, sources=("a.csv",))):
        assert export_command(other, won, "net") is None
    assert export_command(run, won, "size-rule") is None
    (run.path / "protocol.toml").unlink()
    assert list(own_code_of_arm(run.path, run.lock["arms"], "net")) == []


@pytest.mark.parametrize(
    ("arm", "beats", "named"), [("net", True, True), (None, None, False), ("strong", False, False)]
)
def test_only_a_network_that_is_recommended_has_a_next_step(tmp_path, arm, beats, named):
    results = results_with("b_better") | {"recommendation": {"accuracy": {"arm": arm, "beats_baseline": beats}}}
    assert (next_step(run_with(tmp_path), results) is not None) == named
    command = export_step(run_with(tmp_path), results, {"arm": arm, "beats_baseline": beats}, "../some run")
    assert command == ("equipoise export '../some run' --arm net --out net-bundle" if named else None)
    assert model_cards(run_with(tmp_path, sources=("a.csv",)), results) == {}


def test_what_the_trial_recommends_is_part_of_the_evidence():
    results = results_with("b_better")
    left_out = {"left_out": [{"arm": "net", "reason": "net is left out."}], "reason": "Only other was shown."}
    named = {"arm": "net", "reason": "It is the only arm.", "left_out": []}
    own, rest = {"accuracy": named, "speed": named}, {"balanced": {"arm": "other", **left_out}}
    texts = {
        words: arm_evidence(LOCK, "net", results | {"recommendation": advice})["recommendation"]
        for words, advice in {"own": own | rest, "left": rest, "none": {"accuracy": {"arm": None, **left_out}}}.items()
    }
    assert texts["own"] == "recommended for accuracy and speed: It is the only arm."
    assert texts["left"] == "not recommended: net is left out. The trial names other."
    assert texts["none"] == "not recommended: net is left out."
