"""Every option of `audit` acts on every kind of file, or is refused in one sentence; none is silently ignored."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from equipoise import cli
from equipoise.cli_audit import settings_of
from equipoise.errors import EquipoiseError
from equipoise.progress import silent
from equipoise.trials.audit import audit, audit_as_stated

MADE = Path(__file__).parents[1] / "evaluation/external/files"
PERMISSIONS = "permissions (the report names each one)"
"""The group of the parser whose options permit something that may not occur: they need not change a result."""


def parser() -> argparse.ArgumentParser:
    commands = next(a for a in cli._parser()._actions if isinstance(a, argparse._SubParsersAction))
    return commands.choices["audit"]


def options() -> dict[str, argparse.Action]:
    """Every option of the audit itself; the others belong to every command, or say where results go."""
    left = {"help", "json", "quiet", "debug", "predictions", "out"}
    return {action.option_strings[0]: action for action in parser()._actions if action.dest not in left}


OF_OUTPUTS_OR_CODE = {"--ids", "--no-code"}
"""Options on names in files and on code that may run; these commands write no file and name no code."""


def permitted() -> set[str]:
    group = next(one for one in parser()._action_groups if one.title == PERMISSIONS)
    return {action.option_strings[0] for action in group._group_actions}


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """A command for each kind of file; tables that need no further word to be judged."""
    folder = tmp_path_factory.mktemp("kinds")
    stream = np.random.default_rng(0)
    scores, values = ["arm,seed,case,patient,truth,score_no,score_yes,site"], ["arm,seed,case,patient,dice,hd95,site"]
    for arm in "ab":
        for seed in range(3):
            for k in range(40):
                yes = 1 / (1 + np.exp(-(stream.normal() + (k % 2) * (1.5 if arm == "a" else 0.5))))
                names = f"{arm},{seed},c{k},p{k}"
                scores.append(f"{names},{('no', 'yes')[k % 2]},{1 - yes:.5f},{yes:.5f},{'xy'[k % 3 > 0]}")
                values.append(f"{names},{0.6 + 0.3 * stream.random():.4f},{4 + stream.random():.3f},{'xy'[k % 3 > 0]}")
    for name, rows in (("scores.csv", scores), ("values.csv", values)):
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8")
    every = ["--cases-are-patients"]
    truth = str(MADE / "monai_scores/truth.csv")
    return {
        "scores": [str(folder / "scores.csv")],
        "values": [str(folder / "values.csv")],
        "nnunet": [str(MADE / "nnunet_labels"), *every],
        "monai": [str(MADE / "monai"), *every],
        "monai scores": [
            str(MADE / "monai_scores"),
            "--truth",
            truth,
            "--patients",
            truth,
            "--classes",
            "normal,bacterial,viral",
        ],
        "medmnist": [
            str(MADE / "medmnist/pneumoniamnist"),
            "--truth",
            str(MADE / "medmnist/pneumoniamnist.npz"),
            *every,
        ],
        "masks": [str(MADE / "masks"), *every],
    }


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Files that options name: of cases that are in no table."""
    folder = tmp_path_factory.mktemp("lists")
    rows = "".join(f"c{k},q{k // 2},{('no', 'yes')[k % 2]}\n" for k in range(40))
    (folder / "cases.csv").write_text(f"case,patient,truth\n{rows}", encoding="utf-8")
    (folder / "images").mkdir()
    return {"cases": str(folder / "cases.csv"), "images": str(folder / "images")}


def value(option: str, lists: dict[str, str]) -> list[str]:
    """A value of the option that a caller may give; a new option needs one here, or takes none."""
    given = {
        "--primary": "accuracy", "--secondary": "brier", "--margin": "0.2", "--margins": "brier=0.2", "--control": "a",
        "--positive": "no", "--threshold": "0.4", "--growing": "100", "--subgroup": "site", "--columns": "arm=site",
        "--scores": "logits", "--ignore": "7", "--truth": lists["cases"], "--images": lists["images"],
        "--patients": lists["cases"], "--regions": "one=1,two=2", "--classes": "first,second", "--metric": "iou",
        "--failure-value": "hd95=60", "--higher-is-better": "score", "--lower-is-better": "score",
        "--training": lists["cases"],
        "--ids": "plain",
    }  # fmt: skip
    return [] if options()[option].nargs == 0 else [given[option]]


def results(words: list[str]) -> Any:
    arguments = parser().parse_args(words)
    arguments.out = None
    return audit_as_stated(arguments.predictions, settings_of(arguments), arguments.out, silent)


def tried(words: list[str]) -> Any:
    """The results, or the sentence of the refusal."""
    try:
        return results(words)
    except EquipoiseError as error:
        return str(error)


@pytest.mark.long
def test_every_option_has_a_value_to_be_tried_with(lists: dict[str, str]) -> None:
    assert all(len(value(option, lists)) <= 1 for option in options())
    assert permitted() < set(options())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["scores", "values", "nnunet", "monai", "monai scores", "medmnist", "masks"])
def test_an_option_acts_or_is_refused(kinds: dict[str, list[str]], lists: dict[str, str], kind: str) -> None:
    command = kinds[kind]
    plain, ignored = results(command), []
    for option in options():
        if option in command:
            continue
        outcome = tried([*command, option, *value(option, lists)])
        if outcome == plain and option not in permitted() | OF_OUTPUTS_OR_CODE:
            ignored.append(option)
        assert not isinstance(outcome, str) or "\n" not in outcome
    assert ignored == []


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("scores", ["--regions", "one=1"]),
        ("scores", ["--metric", "dice"]),
        ("scores", ["--cases-are-patients"]),
        ("values", ["--classes", "a,b"]),
        ("values", ["--positive", "yes"]),
        ("values", ["--scores", "logits"]),
        ("values", ["--below-chance"]),
        ("nnunet", ["--columns", "case=case"]),
    ],
)
def test_what_does_nothing_is_refused_by_name(kinds: dict[str, list[str]], kind: str, words: list[str]) -> None:
    with pytest.raises(EquipoiseError, match=words[0]):
        results([*kinds[kind], *words])


@pytest.mark.long
def test_a_truth_beside_a_table_that_has_one_is_refused(kinds: dict[str, list[str]], lists: dict[str, str]) -> None:
    with pytest.raises(EquipoiseError, match="--truth does nothing with these files"):
        results([*kinds["scores"], "--truth", lists["cases"]])


@pytest.mark.long
def test_a_list_of_patients_decides_unless_the_column_is_stated(
    kinds: dict[str, list[str]], lists: dict[str, str]
) -> None:
    command = [*kinds["scores"], "--patients", lists["cases"]]
    assert (results(kinds["scores"])["cohort"]["patients"], results(command)["cohort"]["patients"]) == (40, 20)
    with pytest.raises(EquipoiseError, match="--patients does nothing .*leave patient= out of it"):
        results([*command, "--columns", "patient=patient"])


def test_statements_may_be_typed_in_several_options() -> None:
    """A refusal proposes `--columns role=NAME` beside those already typed: the first must not be lost."""
    words = ["t.csv", "--columns", "a.case=ID", "--scores", "a=percent", "--columns", "b.score=p", "--scores", "logits"]
    settings = settings_of(parser().parse_args(words))
    assert (settings.columns, settings.scores) == ("a.case=ID,b.score=p", "a=percent,logits")


def test_names_that_were_joined_are_not_also_said_to_be_two_people() -> None:
    cases = [str(k) for k in range(40)]
    table = {
        "arm": np.repeat(["a", "b"], 40), "case": cases * 2,
        "patient": [f"{k // 2:0{1 + 2 * (k % 2)}d}" for k in range(40)] * 2,
        "dice": np.random.default_rng(0).random(80),
    }  # fmt: skip
    warnings = audit(table, primary="dice")["warnings"]
    assert sum("each was taken for one: " in one for one in warnings) == 1
    assert not [one for one in warnings if "taken for two people" in one]
