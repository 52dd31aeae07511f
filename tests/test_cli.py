import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from equipoise import cli
from equipoise.errors import EquipoiseError, Interrupted

PROTOCOL = """
[cohort]
source = "phantom"
cases = 120
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
[[arms]]
name = "deeplab"
model = {name = "deeplab", preset = "tiny"}
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
"""


@pytest.fixture
def protocol(tmp_path):
    file = tmp_path / "protocol.toml"
    file.write_text(PROTOCOL)
    return file


def test_help_costs_little():
    # what must not be imported decides the time; a stop-watch in a test would measure the machine
    script = "import sys; from equipoise.cli import main\ntry: main(['--help'])\nfinally: print(sorted(sys.modules))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    for heavy in ("'torch'", "'numpy'", "'pydantic'", "'pyarrow'", "'scipy'"):
        assert heavy not in result.stdout
    for command in ("demo", "init", "check", "run", "report"):
        assert f"\n    {command} " in result.stdout


def test_run_then_report_prints_the_verdict(classification_trial, tmp_path, capsys):
    assert classification_trial.printed.rstrip().endswith(str(Path("run", "report.html")))
    out = classification_trial.copy(tmp_path / "copy").run
    before = (out / "results.json").read_text()
    (out / "results.json").unlink()
    assert cli.main(["report", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(before)
    assert (out / "results.json").read_text() == before


@pytest.mark.long
@pytest.mark.usefixtures("jobs_here")
def test_check_trains_nothing_and_fills_its_contract(protocol, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "cache"))  # no spread remembered from other trials
    assert cli.main(["check", str(protocol), "--json", "--quiet"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) == {
        "cases",
        "leaks",
        "left_out",
        "problems",
        "notes",
        "remarks",
        "split",
        "detectable_difference",
        "predicted",
        "warnings",
        "refusals",
        "prospect",
    }
    assert len(found["cases"]) == 120
    assert {"case", "patient", "shape", "spacing_mm", "label", "sha256"} <= set(found["cases"][0])
    assert sum(found["split"][part]["cases"] for part in ("train", "validation", "test")) == 120
    assert found["detectable_difference"]["detectable"] > 0
    assert found["predicted"]["seconds"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "protocol.toml"]
    assert cli.main(["check", str(protocol), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert "a difference in" in text
    assert text.splitlines()[0] == found["prospect"]
    assert "erdict is" in found["prospect"]


@pytest.mark.long
def test_init_quotes_names_of_files_and_says_whose_data_it_took(tmp_path, capsys, monkeypatch):
    from equipoise.trials import init

    file = tmp_path / "mein plan.toml"
    assert cli.main(["init", "phantom", "--minutes", "0", "--out", str(file)]) == 0
    assert f"next: equipoise check '{file}'" in capsys.readouterr().out
    assert f"`equipoise check '{file}'` reads the data" in file.read_text()
    monkeypatch.setattr(init, "BUILT_IN", "phantom")
    assert cli.main(["init", "--minutes", "0", "--out", str(tmp_path / "other.toml")]) == 0
    assert capsys.readouterr().out.startswith("No data were named: this protocol is for phantom")


@pytest.mark.long
def test_a_call_that_init_proposes_works_and_keeps_the_options_of_this_call(tmp_path, capsys, monkeypatch):
    """Taken word by word from the message: the second call answers the second question, and loses no answer."""
    import re
    import shlex

    import numpy as np

    monkeypatch.chdir(tmp_path)
    (tmp_path / "my data").mkdir()
    values = np.random.default_rng(0).integers(0, 255, (40, 3, 16, 16), dtype=np.uint8)
    np.savez(tmp_path / "my data/all.npz", pictures=values, labels=np.arange(40) % 2)
    call = ["init", "my data/all.npz", "--out", "out here.toml", "--minutes", "0", "--set", "images=pictures"]
    assert cli.main(call) == 1
    proposed = re.search("`equipoise (init [^`]+)`", capsys.readouterr().err)
    assert proposed is not None
    words = shlex.split(proposed[1])
    assert words[words.index("--out") + 1] == "out here.toml"
    assert cli.main(words) == 0, capsys.readouterr().err
    assert 'axes = "ncyx"' in (tmp_path / "out here.toml").read_text()


@pytest.mark.long
def test_init_writes_a_protocol_that_is_read_and_commented(tmp_path, capsys):
    file = tmp_path / "mine.toml"
    assert cli.main(["init", "phantom", "--minutes", "0", "--out", str(file)]) == 0
    assert "verdict is" in capsys.readouterr().out.splitlines()[0]
    from equipoise.protocol import Protocol

    assert Protocol.load(file).cohort.source == "phantom"
    keys = [line for line in file.read_text().splitlines() if "=" in line and not line.startswith("#")]
    assert len([line for line in keys if "#" in line]) > 10
    assert cli.main(["init", "--out", str(file)]) == 1, "never overwritten"
    assert "exists already" in capsys.readouterr().err
    assert cli.main(["init", "lidc-contour", "--out", str(tmp_path / "other.toml")]) == 1
    assert "did you mean" in capsys.readouterr().err


def test_errors_are_one_sentence_and_exit_codes_are_kept(protocol, tmp_path, capsys, monkeypatch):
    assert cli.main(["run", str(tmp_path / "none.toml")]) == 1
    complaint = capsys.readouterr().err
    assert complaint.startswith("equipoise: ")
    assert complaint.count("\n") == 1
    assert cli.main(["run", str(tmp_path / "none.toml"), "--json"]) == 1
    assert "does not exist" in json.loads(capsys.readouterr().out)["error"]
    with pytest.raises(EquipoiseError):
        cli.main(["run", str(tmp_path / "none.toml"), "--debug"])
    with pytest.raises(SystemExit) as wrong:
        cli.main(["rum"])
    assert wrong.value.code == 2
    monkeypatch.setattr("equipoise.trials.run.run", lambda *_, **__: (_ for _ in ()).throw(Interrupted("stopped")))
    assert cli.main(["run", str(protocol), "--out", str(tmp_path / "run")]) == 75


@pytest.mark.parametrize("make", ["nothing", "empty", "file"])
def test_report_of_what_is_no_run_folder(tmp_path, capsys, make):
    folder = tmp_path / "x"
    if make == "empty":
        folder.mkdir()
    elif make == "file":
        folder.write_text("x")
    assert cli.main(["report", str(folder)]) == 1
    assert str(folder) in capsys.readouterr().err


@pytest.mark.trial
def test_sigint_leaves_a_resumable_run(protocol, tmp_path):
    text = PROTOCOL.replace("epochs = 1", "epochs = 400")
    protocol.write_text(text)
    out = tmp_path / "run"
    command = [sys.executable, "-m", "equipoise", "run", str(protocol), "--out", str(out)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 600
    while not list(out.glob("jobs/*/*/history.csv")) and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    _, complaint = process.communicate(timeout=300)
    assert process.returncode == 75
    assert "the same command resumes in" in complaint
    assert not list(out.glob("jobs/*/*/done.json"))


PICTURES = """
import sys
from pathlib import Path
from PIL import Image
import numpy as np
from equipoise.testing.phantoms.cases import phantom
for case in phantom(cases=120, size=16).cases:
    file = Path(sys.argv[1]) / str(case.label) / f"{case.patient}_{case.id}.png"
    file.parent.mkdir(parents=True, exist_ok=True)
    pixels = case.read().array[0]
    Image.fromarray(np.uint8(np.clip(60 * pixels + 100, 0, 255))).save(file)
"""


@pytest.mark.trial
@pytest.mark.usefixtures("jobs_here")
def test_from_a_folder_of_pictures_to_a_verdict(tmp_path, capsys):
    data, file = tmp_path / "data", tmp_path / "protocol.toml"
    subprocess.run([sys.executable, "-c", PICTURES, str(data)], check=True)
    assert cli.main(["init", str(data), "--minutes", "0", "--out", str(file)]) == 0
    text = file.read_text()
    assert 'source = "folders"' in text
    text = (
        re.sub(r"\nepochs = \d+", "\nepochs = 1", text)
        .replace('"small"', '"tiny"')
        .replace('scheme = "kfold"', 'scheme = "holdout"')
    )
    text = re.sub(r"\nfractions = \[.*?\]", "\nfractions = [0.5, 0.2, 0.3]", text)
    (pattern,) = re.findall(r'patient_pattern = "(.*)"', text)  # proposed from the names of the pictures
    assert re.search(pattern.replace("\\\\", "\\"), "0/patient-00006_phantom-00081.png")[1] == "patient-00006"
    file.write_text(text)
    assert cli.main(["run", str(file), "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert (tmp_path / "run" / "report.html").is_file()
    capsys.readouterr()
    damaged = next(data.glob("0/*.png"))
    damaged.write_bytes(damaged.read_bytes()[:40])
    assert cli.main(["check", str(file), "--json", "--quiet"]) == 1
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert damaged.name in problem["file"]
    assert cli.main(["run", str(file), "--out", str(tmp_path / "other"), "--quiet"]) == 1
    assert damaged.name in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


@pytest.mark.long
def test_check_reads_what_cannot_be_split(shared_data, tmp_path, capsys):
    file = tmp_path / "protocol.toml"
    assert cli.main(["init", str(shared_data / "brats"), "--out", str(file)]) == 0
    assert "No verdict is possible" in capsys.readouterr().out.splitlines()[0]
    assert cli.main(["check", str(file), "--json", "--quiet"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert "2 patients for 3 parts" in found["refusals"][0]
    assert found["predicted"] is None
    (new, old) = found["cases"]
    assert new["case"] == "BraTS-GLI-00012-000"
    assert old["spacing_mm"] == [1.0, 1.0, 1.0]
    tumour = [sum(case["label_voxels"].get(str(value), 0) for value in (1, 2, 3)) for case in (new, old)]
    assert sorted(tumour) == [137911, 263809], "as counted directly in the files"
    assert len(new["sha256"]) == 5


@pytest.mark.parametrize(("options", "lines"), [([], 4), (["--json"], 0)])
def test_the_demo_ends_with_the_command_that_repeats_it_on_ct(options, lines, monkeypatch, capsys):
    from equipoise import cli

    monkeypatch.setattr(cli, "_run", lambda arguments: cli.DONE)
    assert cli.main(["demo", *options]) == cli.DONE
    told = capsys.readouterr().out.splitlines()
    assert len(told) == lines
    for line in told[-1:]:
        fetch, run = line.partition("): ")[2].split(" && ")
        assert fetch == "equipoise fetch lidc-idri"
        assert cli._parser().parse_args(run.split()[1:]).protocol.endswith("lidc-nodules.toml")
