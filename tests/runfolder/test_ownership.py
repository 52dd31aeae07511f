"""Nothing is written into a folder that is not new, empty or ours: a user's files are never taken for ours."""

import json
from pathlib import Path

import pytest

import equipoise
from equipoise.errors import EquipoiseError
from equipoise.runfolder.ownership import AUDIT, RUN, STUDY, claim, prove_ours
from equipoise.runfolder.paths import LOCK, MARKER, RESULTS, STUDY_PLAN
from equipoise.trials.study import run_study

PROTOCOL = """
[cohort]
source = "phantom"
cases = 40
size = 8
[training]
epochs = 1
seeds = [0]
[[arms]]
name = "a"
model = "unet"
"""
STUDY_TEXT = """
[study]
cohorts = [{name = "p", cohort = {source = "phantom"}}]
models = [{name = "unet", model = "unet"}]
optimizers = [{name = "adam", optimizer = "adam"}, {name = "sgd", optimizer = "sgd"}]
"""


def listing(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", [RUN, STUDY, AUDIT])
def test_new_and_empty_folders_are_taken_and_then_ours(kind, tmp_path):
    assert prove_ours(tmp_path / "new", kind) is False
    assert not (tmp_path / "new").exists(), "proving writes nothing"
    claim(tmp_path / "new", kind)
    assert prove_ours(tmp_path / "new", kind) is True
    (tmp_path / "new" / "cases.csv").write_text("ours")
    claim(tmp_path / "new", kind)
    for other in {RUN, STUDY, AUDIT} - {kind}:
        with pytest.raises(EquipoiseError, match=r"holds an? \w+, not an? \w+; nothing was overwritten"):
            claim(tmp_path / "new", other)


@pytest.mark.parametrize("name", ["cases.csv", "protocol.toml", "results.json", "figures", ".git", "download.part"])
@pytest.mark.parametrize("kind", [RUN, STUDY, AUDIT])
def test_a_folder_with_a_file_of_the_users_is_refused(kind, name, tmp_path):
    (tmp_path / name).write_text("{}")
    with pytest.raises(EquipoiseError, match="is not empty and holds no"):
        claim(tmp_path, kind)
    assert listing(tmp_path) == {name: b"{}"}


@pytest.mark.parametrize("marker", ["", "{", "[]", '{"equipoise": null}', '{"equipoise": "other"}', "\xff" * 4])
def test_a_marker_that_is_not_ours_proves_nothing(marker, tmp_path):
    (tmp_path / MARKER).write_bytes(marker.encode("latin-1"))
    with pytest.raises(EquipoiseError, match="is not empty and holds no run"):
        prove_ours(tmp_path, RUN)


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        (LOCK, {"protocol_sha256": "a"}, RUN),
        (STUDY_PLAN, {"cohorts": []}, STUDY),
        (RESULTS, {"schema": 1, "protocol_sha256": None}, AUDIT),
    ],
)
def test_folders_from_before_there_was_a_marker_are_known(name, content, kind, tmp_path):
    (tmp_path / name).write_text(json.dumps(content))
    assert prove_ours(tmp_path, kind) is True


def test_results_of_a_trial_are_no_audit(tmp_path):
    (tmp_path / RESULTS).write_text(json.dumps({"schema": 1, "protocol_sha256": "abc"}))
    with pytest.raises(EquipoiseError, match="holds no audit"):
        prove_ours(tmp_path, AUDIT)


def test_what_a_kill_left_of_our_first_file_is_no_foreign_file(tmp_path):
    (tmp_path / f".{MARKER}.part").write_text("{")
    claim(tmp_path, RUN)
    assert prove_ours(tmp_path, RUN) is True


def test_a_run_beside_a_users_table_of_cases_refuses_and_leaves_it(tmp_path, monkeypatch):
    (tmp_path / "cases.csv").write_text("image,label\na.png,1\n")
    (tmp_path / "p.toml").write_text(PROTOCOL)
    before = listing(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EquipoiseError, match=r"is not empty and holds no run \(it has cases.csv\)"):
        equipoise.run("p.toml", ".")
    assert listing(tmp_path) == before


def test_a_study_and_an_audit_beside_a_users_files_refuse_and_leave_them(tmp_path):
    (tmp_path / "cases.csv").write_text("image,label\na.png,1\n")
    (tmp_path / "study.toml").write_text(STUDY_TEXT)
    table = tmp_path / "predictions.csv"
    table.write_text("case,truth,a\n1,0,0.2\n2,1,0.9\n")
    before = listing(tmp_path)
    with pytest.raises(EquipoiseError, match="is not empty and holds no study"):
        run_study(tmp_path / "study.toml", tmp_path)
    with pytest.raises(EquipoiseError, match="is not empty and holds no audit"):
        equipoise.audit(table, out=tmp_path)
    assert listing(tmp_path) == before
