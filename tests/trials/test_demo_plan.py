"""The demo says its time first, and ends with three commands that exist."""

import shlex

import pytest

from equipoise import cli
from equipoise.trials.demo import demo


@pytest.mark.parametrize(("quick", "folder"), [(True, "equipoise-quick"), (False, "equipoise-demo")])
def test_time_and_three_commands(quick, folder):
    plan = demo(quick, None)
    assert plan.protocol.is_file()
    assert str(plan.out) == folder
    assert "minute" in plan.time
    assert len(plan.next) == 3
    assert "CT pixels" in plan.next[-1][0]
    parser = cli._parser()
    for _, command in plan.next:
        for one in command.split("&&"):
            program, *words = shlex.split(one)
            assert program == "equipoise"
            parser.parse_args(words)
    assert plan.closing().count("\n") == 3


def test_the_command_says_its_time_first_and_what_to_try_last(monkeypatch, capsys, tmp_path):
    seen = {}

    def run(arguments):
        seen.update(vars(arguments))
        print("verdict")
        return 0

    monkeypatch.setattr(cli, "_run", run)
    assert cli.main(["demo", "--quick", "--out", str(tmp_path / "a b")]) == 0
    assert seen["out"] == str(tmp_path / "a b")
    assert seen["protocol"].stem == "quick"
    printed = capsys.readouterr()
    assert printed.err.startswith("2 small networks")
    assert printed.out.startswith("verdict\nTry next:\n")
    assert cli.main(["demo", "--json"]) == 0
    assert seen["out"] == "equipoise-demo"
    printed = capsys.readouterr()
    assert printed.out == "verdict\n", "a program reads results alone"
    assert cli.main(["demo", "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.slow
def test_the_quick_demo_ends_in_a_verdict(tmp_path, capsys):
    assert cli.main(["demo", "--quick", "--quiet", "--out", str(tmp_path / "run")]) == 0
    assert "AUC" in capsys.readouterr().out
