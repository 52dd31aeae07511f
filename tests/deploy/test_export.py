"""Arms of real trials as bundles: reproduced, refused, told apart from forgeries, and used."""

import hashlib
import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from deploy_bundles import change, onnx_model
from safetensors.numpy import load

import equipoise
from equipoise import cli
from equipoise.deploy.bundle import CARD, FILES, GOLDEN, NETWORK, PARITY, RECORD, WEIGHTS, read_bundle
from equipoise.deploy.canaries import refuse_traces
from equipoise.deploy.export import _arithmetic_changes, _proven, _refuse, export
from equipoise.deploy.onnx_file import strip
from equipoise.deploy.predictor import Bundle
from equipoise.deploy.proof import refuse_disparity
from equipoise.deploy.torch_network import torch_network
from equipoise.deploy.trained import _refuse_untrusted, answering, answering_weights, trained_job
from equipoise.deploy.verify import verify
from equipoise.errors import EquipoiseError
from equipoise.progress import silent
from equipoise.protocol import Arm, TrainingSection
from equipoise.report import example_cases, summarise
from equipoise.report.text.model_card import _arithmetic
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import TEST_OPENED, Ledger
from equipoise.runfolder.paths import CHECKPOINT
from equipoise.runfolder.paths import WEIGHTS as RUN_WEIGHTS
from equipoise.runfolder.read import read_folder

OLD = "tests/data/run-of-0.1"


@pytest.fixture(scope="module")
def exported(segmentation_trial, tmp_path_factory):
    """The segmenter of the shared trial as a bundle, and what the export returned."""
    out = tmp_path_factory.mktemp("exported") / "bundle"
    trial = segmentation_trial.copy(out.parent / "trial")
    settings = {"results": summarise(trial.run, True), "although": "a test", "trust_code": True}
    written = export(trial.run, "unet", out, **settings, pages=[*example_cases(trial.run, True)[1], "none"])
    return SimpleNamespace(path=out, written=written, trial=trial)


def test_a_bundle_gives_the_numbers_of_its_trial(exported):
    parity = json.loads((exported.path / PARITY).read_text())
    assert parity["reproduction"]["difference"] == 0.0
    assert parity["onnx"]["cases"] == 10
    assert parity["onnx"]["probability"] < 1e-5
    assert parity["onnx"]["changed_clearly"] == 0
    assert parity["onnx"]["endpoint"]["onnx"] == pytest.approx(parity["onnx"]["endpoint"]["torch"], abs=1e-6)
    job = exported.written["job"].split("/")[1]
    predictions = equipoise.evaluation.predictions.read_parquet(
        exported.trial.run / "jobs" / "unet" / job / "predictions.parquet"
    )
    test = predictions.where(predictions.split == "test")
    assert parity["onnx"]["endpoint"]["torch"] == pytest.approx(test.metrics["dice_square"].mean(), abs=1e-12)


def test_heads_that_trained_coarser_maps_are_not_in_the_bundle(exported):
    run = exported.trial.run / "jobs" / exported.written["job"] / CHECKPOINT / RUN_WEIGHTS
    trained, kept = load(run.read_bytes()), load((exported.path / WEIGHTS).read_bytes())
    heads = {name for name in trained if name.startswith("coarse_heads.")}
    assert heads
    assert trained.keys() - kept.keys() == heads
    assert all(np.array_equal(kept[name], trained[name]) for name in kept)
    network = json.loads((exported.path / RECORD).read_text())["network"]
    assert network["parameters"] == sum(value.size for value in kept.values())
    assert "deep_supervision" not in network["settings"]
    graph = onnx.load(exported.path / NETWORK).graph
    assert not [tensor.name for tensor in graph.initializer if "coarse" in tensor.name]


def test_an_answering_job_has_no_setting_of_training_alone(tmp_path):
    training = TrainingSection(deep_supervision=True, loss="dice")
    for name, kept in (("unet", False), ("mine:Net", True)):
        arm = Arm.model_validate({"name": "a", "model": {"name": name, "deep_supervision": True, "width": 3}})
        job = Job(arm, 0, 0, tmp_path, tmp_path, tmp_path, "segmentation", ("a", "b"), 1, 2, training, {}, "dice")
        here = answering(job)
        assert here.training.deep_supervision == kept
        assert here.arm.model.settings == ({"deep_supervision": True} if kept else {}) | {"width": 3}


def test_how_long_runtimes_take_is_in_the_report_and_not_in_the_bundle(exported):
    timings = json.loads((exported.trial.run / "timings" / "unet.json").read_text())
    assert timings == exported.written["timings"]
    assert set(timings["ms_per_case"]) == {"torch", "onnx"}
    equipoise.report.write_report(exported.trial.run, trust_code=True)
    page = (exported.trial.run / "report.html").read_text()
    assert "<th>Exported arm</th><th>torch, as in the trial</th><th>ONNX Runtime</th><th>bundle</th>" in page
    shown = exported.written["pages"]
    assert shown == [f"{case}.html" for case in example_cases(exported.trial.run, True)[1]]
    for name in shown:
        assert f'href="pages/unet/{name}"' in page
        assert "not a medical device" in (exported.trial.run / "pages" / "unet" / name).read_text()
    assert cli.main(["ledger", "verify", str(exported.trial.run), "--trust-code"]) == 0


def test_both_runtimes_and_the_run_itself_answer_alike(exported):
    onnx_way, torch_way = Bundle(exported.path), Bundle(exported.path, runtime="torch")
    loaded = equipoise.load(exported.trial.run, trust_code=True).arm("unet")
    assert f"{loaded.job}" == exported.written["job"]
    draw = np.random.default_rng(0)
    for sides in ((24, 20), (37, 29), (19, 50)):
        image = equipoise.cohorts.Image(draw.normal(0.3, 0.4, (1, *sides)).astype(np.float32), (1.0, 1.0))
        prepared = onnx_way.prepare(image).image
        answers = [one.logits(prepared) for one in (onnx_way, torch_way, loaded)]
        assert max(np.abs(answers[0] - other).max() for other in answers[1:]) < 1e-4
        assert np.array_equal(onnx_way.predict(image).masks["square"], loaded.predict(image).masks["square"])


def test_nothing_tells_where_it_was_made(exported):
    for file in (*FILES, RECORD):
        content = (exported.path / file).read_bytes()
        for canary in (str(exported.trial.folder), str(exported.path.parent), "site-packages", "Traceback", '.py"'):
            assert canary.encode() not in content, (file, canary)
    model = onnx.load(exported.path / NETWORK)
    assert {node.domain for node in model.graph.node} == {""}
    assert not any(node.metadata_props or node.doc_string for node in model.graph.node)
    card = (exported.path / CARD).read_text()
    rows = [line for line in card.splitlines() if line.startswith("| ") and not line.startswith("| item")]
    assert len(rows) > 25
    assert all(line.endswith(("| from the run |", "| author must complete |")) for line in rows)
    assert "a test" in card


def test_weights_of_another_seed_or_of_no_training_are_refused(exported, tmp_path):
    jobs = exported.trial.run / "jobs" / "unet"
    (other,) = {folder.name for folder in jobs.iterdir()} - {exported.written["job"].split("/")[1]}
    forged = shutil.copytree(exported.path, tmp_path / "forged")
    trained = trained_job(exported.trial.run, "unet", trust_code=True)
    weights = answering_weights((jobs / other / "checkpoint" / "model.safetensors").read_bytes(), trained.job)
    change(forged, WEIGHTS, weights, rehash=True)
    with pytest.raises(EquipoiseError, match="differently than where it was exported"):
        Bundle(forged, runtime="torch")
    change(forged, NETWORK, onnx_model(2, 1, 2), rehash=True)
    with pytest.raises(EquipoiseError, match="differently than where it was exported"):
        Bundle(forged)
    # of a run of version 0.1, whose ledger holds no weights, the predictions tell
    with pytest.raises(EquipoiseError, match="do not reproduce its predictions"):
        _proven(trained, weights, silent)
    # in the run folder itself, the ledger does
    trial = exported.trial.copy(tmp_path / "trial")
    here = trial.run / "jobs" / "unet"
    name = exported.written["job"].split("/")[1]
    shutil.copy(here / other / "checkpoint" / "model.safetensors", here / name / "checkpoint" / "model.safetensors")
    with pytest.raises(EquipoiseError, match="is not the file that"):
        export(
            trial.run,
            "unet",
            tmp_path / "new",
            results=summarise(trial.run, True),
            job=name,
            although="a test",
            trust_code=True,
        )
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
def test_a_bundle_of_an_exploratory_trial_says_why(segmentation_trial, tmp_path):
    run = segmentation_trial.copy(tmp_path / "trial").run
    ledger = Ledger(run)
    ledger.append(TEST_OPENED, **ledger.last(TEST_OPENED).data)  # a second look, at the same jobs
    results = summarise(run, True)
    reason = "the test set was opened 2 times"
    assert reason in results["exploratory_reasons"]
    export(run, "unet", tmp_path / "bundle", results=results, although="for a study of failures", trust_code=True)
    evidence = read_bundle(tmp_path / "bundle").record["evidence"]
    assert (evidence["exploratory"], evidence["exploratory_reasons"]) == (True, results["exploratory_reasons"])
    row = f"| exploratory | yes: {'; '.join(results['exploratory_reasons'])} | from the run |"
    assert row in (tmp_path / "bundle" / CARD).read_text().splitlines()
    assert any(reason in warning for warning in verify(tmp_path / "bundle").warnings)


def test_code_that_a_run_folder_names_is_not_run_unasked(tmp_path):
    folder = shutil.copytree(f"{OLD}/classification", tmp_path / "run")
    plan = (folder / "protocol.toml").read_text()
    (folder / "protocol.toml").write_text(re.sub(r'source = "[^"]*"', 'source = "stranger:cohort"', plan))
    (tmp_path / "stranger.py").write_text("raise SystemExit('it ran')")
    with pytest.raises(EquipoiseError):
        trained_job(folder, read_arms(folder)[0])
    with pytest.raises(EquipoiseError, match="runs only with your permission"):
        _refuse_untrusted(read_folder(folder), read_arms(folder)[0], None, False)


@pytest.mark.slow
def test_two_exports_are_one_file_for_file(exported, tmp_path):
    export(
        exported.trial.run,
        "unet",
        tmp_path / "again",
        results=summarise(exported.trial.run, True),
        although="a test",
        trust_code=True,
    )
    for file in (*FILES, RECORD):
        assert (tmp_path / "again" / file).read_bytes() == (exported.path / file).read_bytes(), file


@pytest.mark.slow
def test_classifiers_one_of_them_of_ones_own(classification_trial, tmp_path, capsys):
    for arm in ("unet", "own"):
        out = tmp_path / arm
        command = ["export", str(classification_trial.run), "--arm", arm, "--out", str(out), "--quiet", "--json"]
        assert cli.main([*command, "--although", "a test", "--trust-code"]) == cli.DONE
        written = json.loads(capsys.readouterr().out)
        assert written["parity"]["reproduction"]["difference"] == 0.0
        assert written["parity"]["onnx"]["changed_clearly"] == 0
        values = read_bundle(out).record["provenance"]["validation"]
        ordered = sorted(values.values())
        assert values[written["job"].split("/")[1]] == ordered[1]  # the median of three
    with pytest.raises(EquipoiseError, match="custom code"):
        Bundle(tmp_path / "own", runtime="torch")


@pytest.mark.slow
def test_a_detector(detection_trial, tmp_path):
    run = detection_trial.run
    written = export(run, "unet", tmp_path / "bundle", results=summarise(run, True), although="a test", trust_code=True)
    onnx_parity = written["parity"]["onnx"]
    assert onnx_parity["endpoint"]["onnx"] == pytest.approx(onnx_parity["endpoint"]["torch"], abs=1e-9)
    assert onnx_parity["changed_clearly"] == 0


@pytest.mark.long
@pytest.mark.parametrize("task", ["classification", "segmentation", "detection"])
def test_a_run_of_results_alone_is_refused_in_one_sentence(task, tmp_path, capsys):
    folder = shutil.copytree(f"{OLD}/{task}", tmp_path / "run")
    arm = read_arms(folder)[0]
    assert cli.main(["export", str(folder), "--arm", arm, "--out", str(tmp_path / "b"), "--quiet"]) == cli.REFUSED
    text = capsys.readouterr().err
    assert text.startswith("equipoise: ")
    assert text.count("\n") == 1
    assert not (tmp_path / "b").exists()


def read_arms(folder):
    """The names of the arms of a run."""
    return [arm["name"] for arm in json.loads((folder / "lock.json").read_text())["arms"]]


@pytest.mark.long
def test_what_is_no_finished_run_is_refused(tmp_path):
    with pytest.raises(EquipoiseError, match="not a run folder"):
        trained_job(tmp_path, "unet")
    folder = shutil.copytree(f"{OLD}/classification", tmp_path / "run")
    with pytest.raises(EquipoiseError, match=r"has no arm 'none'"):
        trained_job(folder, "none")
    with pytest.raises(EquipoiseError, match=r"has no finished run '9-9'"):
        trained_job(folder, read_arms(folder)[0], "9-9")
    ledger = folder / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:-1]))
    with pytest.raises(EquipoiseError, match=r"has not finished|cannot be exported"):
        trained_job(folder, read_arms(folder)[0])
    ledger.write_text("".join(lines).replace("finished", "failed"))
    with pytest.raises(EquipoiseError, match="cannot be exported"):
        trained_job(folder, read_arms(folder)[0])


def test_what_speaks_against_an_export_needs_a_reason():
    job = SimpleNamespace(training=SimpleNamespace(precision="bfloat16"), primary="dice")
    trained = SimpleNamespace(job=job)
    assert _arithmetic_changes({}, trained) == []
    held = {"cases": 12, "change": -0.001, "lower": -0.0013, "allowed": -0.006, "draws": 1000}
    change_ = {"changed": 2, "decisions": 9, "unit": "voxels", "validation": held}
    assert _arithmetic_changes({"arithmetic": change_}, trained) == []
    ((name, text, _),) = _arithmetic(change_)
    assert "float32" in name
    assert "2 of 9 decisions changed" in text
    assert "lower bound -0.0013; the limit is -0.006" in text
    for worse, words in (
        ({"lower": -0.0061}, "has the lower bound -0.0061, and the limit is -0.006"),
        ({"lower": None}, "is not known, and the limit is -0.006"),
        ({"allowed": None}, "the protocol states no margin"),
    ):
        reasons = _arithmetic_changes({"arithmetic": {**change_, "validation": held | worse}}, trained)
        assert len(reasons) == 1
        assert reasons[0].startswith("the trial computed in bfloat16, and in float32 2 of 9 decisions change")
        assert words in reasons[0]
    for although in (None, " "):
        with pytest.raises(EquipoiseError, match=r"net is not exported: .* 2 of 9 .* --although"):
            _refuse(reasons, although, "net")
    for placeholder in ("REASON", "<reason>", "...", "your reason here", "n/a"):
        with pytest.raises(EquipoiseError, match="is a placeholder and no reason; write why net is exported"):
            _refuse(reasons, placeholder, "net")
    _refuse(reasons, "known", "net")
    _refuse([], None, "net")


def test_a_run_is_loaded_by_its_arms(tmp_path):
    folder = shutil.copytree(f"{OLD}/classification", tmp_path / "run")
    loaded = equipoise.load(folder)
    assert loaded.arms == read_arms(folder)
    with pytest.raises(EquipoiseError, match=r"has no arm 'none'"):
        loaded.arm("none")
    with pytest.raises(EquipoiseError, match="not a run folder"):
        equipoise.load(tmp_path)


def test_a_runtime_that_answers_otherwise_is_refused():
    same = {"probability": 9e-5, "changed_clearly": 0, "decisions": 9}
    refuse_disparity(same, "ONNX Runtime")
    for change_ in ({"probability": 1.1e-4}, {"changed_clearly": 1}, {"probability": float("nan")}):
        with pytest.raises(EquipoiseError, match="differs from the network"):
            refuse_disparity({**same, **change_}, "ONNX Runtime")


def test_notes_of_the_exporter_are_removed_at_every_depth():
    model = onnx.load_from_string(onnx_model(3, 1, 3))
    parts = [model, model.graph, *model.graph.node, *model.graph.input, *model.graph.initializer]
    for part in parts:
        part.doc_string = "/home/somebody/train.py"
        part.metadata_props.add(key="stack", value="/home/somebody/train.py")
    strip(model)
    assert b"somebody" not in model.SerializeToString()


@pytest.mark.parametrize(
    "trace", [b"/home/ann/data", b"/Users/ann/x", b"C:\\Users\\ann\\x", b"/tmp/build/x.py", b"at /work/place/x"]
)
def test_traces_of_the_machine_are_refused(trace):
    refuse_traces({"a": b"https://example.org/home/x and 1/2", "b": b"rate /min"})
    with pytest.raises(EquipoiseError, match="reveals where it was made"):
        refuse_traces({"a": b"text " + trace + b" text"})


def test_names_of_user_host_and_places_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("getpass.getuser", lambda: "annabel")
    monkeypatch.setattr("socket.gethostname", lambda: "ward-seven")
    for text in ("trained by annabel", "on ward-seven.", f"in {tmp_path}"):
        with pytest.raises(EquipoiseError, match="reveals where"):
            refuse_traces({"a": text.encode()}, [tmp_path])
    refuse_traces({"a": b"annabella"}, [tmp_path])


def test_a_network_of_ones_own_has_no_code_in_a_bundle(bundle):
    with pytest.raises(EquipoiseError, match="own:Layer is custom code"):
        torch_network(read_bundle(bundle))
    assert re.fullmatch(r"[0-9a-f]{64}", hashlib.sha256((bundle / GOLDEN).read_bytes()).hexdigest())
