"""Runtimes besides ONNX Runtime: proven at the export, refused where worse, and the same commands with them."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from deploy_bundles import change, contract_for, make_bundle, onnx_model

from equipoise.cohorts.cohort import Image
from equipoise.deploy.bundle import INTEGERS, PARITY, read_bundle
from equipoise.deploy.contract import Window
from equipoise.deploy.further_runtimes import RUNTIMES, _draws, _held, endpoint_change, is_negligible, runtimes_of
from equipoise.deploy.golden import Room, room_of
from equipoise.deploy.openvino_network import openvino_network
from equipoise.deploy.predictor import Bundle
from equipoise.deploy.quantization import windows
from equipoise.deploy.runtimes import network_of
from equipoise.errors import EquipoiseError
from equipoise.training.data.samples import Samples

WITHOUT = "is not installed: pip install -r requirements/openvino.txt"


def image():
    return Image(
        np.random.default_rng(2).uniform(0, 2, (1, 6, 9, 8)).astype(np.float32), (2.0, 1.0, 0.5), None, np.eye(4)
    )


def test_a_runtime_that_was_not_proven_is_refused(bundle):
    with pytest.raises(EquipoiseError, match="no 8-bit network; export the arm again with --runtimes openvino-int8"):
        network_of(read_bundle(bundle), "openvino-int8")
    with pytest.raises(EquipoiseError, match="was not proven for openvino-bf16"):
        room_of(read_bundle(bundle), "openvino-bf16", True)
    assert room_of(read_bundle(bundle), "openvino", False) == Room()
    proven = {"openvino-bf16": {"golden": {"probability": 0.01, "voxels": 0.0}}}
    change(bundle, PARITY, json.dumps(proven).encode(), rehash=True)
    assert room_of(read_bundle(bundle), "openvino-bf16", True).probability == pytest.approx(0.0201)
    with pytest.raises(EquipoiseError, match="openvino-bf15' is unknown; did you mean"):
        network_of(read_bundle(bundle), "openvino-bf15")
    with pytest.raises(EquipoiseError, match="is unknown"):
        runtimes_of("openvino,onnx")
    assert runtimes_of("openvino-int8,openvino") == ("openvino", "openvino-int8")


def test_openvino_that_is_not_installed_is_one_sentence(bundle, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EquipoiseError, match="OpenVINO is not installed; install it with pip install"):
        openvino_network(b"", "openvino", 1)


def test_windows_for_calibration_have_the_networks_sides():
    draw = np.random.default_rng(0)
    images = [draw.normal(size=(2, *sides)).astype(np.float32) for sides in ((9, 4, 7), (5, 6, 5), (5, 5, 5))]
    cut = list(windows(images, contract_for(window=Window(side=(5, 5, 5)))))
    assert [one.shape for one in cut] == [(2, 5, 5, 5)] * 3
    assert np.array_equal(cut[2], images[2])
    assert [one.shape for one in windows(images, contract_for())] == [one.shape for one in images]


def test_the_change_is_bounded_over_patients():
    values = np.array([0.0, 0.0, -1.0, -1.0])
    draws = _draws([[0, 1], [2, 3]], lambda at: float(values[at].mean()))
    assert set(draws.tolist()) == {0.0, -0.5, -1.0}  # patients with all of their cases
    assert len(_draws([[0]], lambda at: float("nan"))) == 0


def test_a_worse_runtime_is_refused_and_a_margin_is_needed(monkeypatch):
    samples = Samples(np.zeros((20, 1)), np.zeros(20), tuple(map(str, range(20))), tuple(map(str, range(20))))
    monkeypatch.setattr("equipoise.deploy.further_runtimes.endpoint_of", lambda job: SimpleNamespace(sign=1))
    monkeypatch.setattr(
        "equipoise.deploy.further_runtimes.endpoint_at", lambda trained, samples, answers: lambda at: answers[0]
    )
    trial = SimpleNamespace(
        protocol=SimpleNamespace(endpoints=SimpleNamespace(margin=0.03)), job=SimpleNamespace(primary="dice")
    )
    held = SimpleNamespace(by_network=[0.8], by_runtime=[0.7901])
    with pytest.raises(EquipoiseError, match=r"lower bound -0.0099, and a fifth of the margin allows -0.006"):
        _held(trial, held, samples, "openvino-int8")
    held.by_runtime = [0.7951]
    kept = _held(trial, held, samples, "openvino-int8")
    assert (kept["cases"], round(kept["lower"], 4)) == (20, -0.0049)
    assert is_negligible(kept)
    held.by_network = [float("nan")]
    unknown = endpoint_change(trial, held, samples)
    assert (unknown["change"], unknown["lower"], is_negligible(unknown)) == (None, None, False)
    trial.protocol.endpoints.margin = None
    with pytest.raises(EquipoiseError, match="states no margin"):
        _held(trial, held, samples, "openvino-int8")


@pytest.mark.long
@pytest.mark.parametrize("kind", ["mask", "label"])
def test_openvino_answers_as_onnx_runtime(tmp_path, kind):
    pytest.importorskip("openvino", reason=f"openvino {WITHOUT}")
    folder = make_bundle(tmp_path / "bundle", contract_for(kind))
    plain, other = Bundle(folder).predict(image()), Bundle(folder, "openvino").predict(image())
    assert other.probabilities == pytest.approx(plain.probabilities, abs=1e-6)
    assert plain.masks.keys() == other.masks.keys()
    assert all(np.array_equal(mask, other.masks[name]) for name, mask in plain.masks.items())
    with pytest.raises(EquipoiseError, match="OpenVINO refuses the network"):
        openvino_network(b"no network", "openvino", 1)


@pytest.mark.long
def test_a_network_that_is_another_is_refused_by_its_golden_images(tmp_path):
    pytest.importorskip("openvino", reason=f"openvino {WITHOUT}")
    folder = make_bundle(tmp_path / "bundle")
    files = read_bundle(folder)
    record = json.loads((folder / "bundle.json").read_text())
    wrong = onnx_model(3, 1, 3, offsets=np.array([0.0, -0.7, -2.0]))
    record["files"][INTEGERS] = {}
    (folder / "bundle.json").write_text(json.dumps(record))
    with pytest.raises(EquipoiseError, match=f"has no {INTEGERS}"):
        Bundle(folder, "openvino-int8")
    change(folder, INTEGERS, wrong, rehash=True)
    change(folder, PARITY, b'{"openvino-int8": {"golden": {"probability": 1e-6, "voxels": 0}}}', rehash=True)
    with pytest.raises(EquipoiseError, match="differently than where it was exported"):
        Bundle(folder, "openvino-int8")
    assert len(files.files) == 5


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["segmentation", "classification", "detection"])
def test_an_export_proves_every_runtime(kind, request, tmp_path, monkeypatch):
    """The trials are small, and so is what their validation cases can show: here twelve margins are allowed."""
    monkeypatch.setattr("equipoise.deploy.further_runtimes.SHARE_OF_MARGIN", 1 / 12)
    pytest.importorskip("openvino", reason=f"openvino {WITHOUT}")
    pytest.importorskip("nncf", reason=f"nncf {WITHOUT}")
    from equipoise.deploy.export import export
    from equipoise.report import summarise

    trial = request.getfixturevalue(f"{kind}_trial").copy(tmp_path / "trial")
    results = summarise(trial.run, True)
    arm = results["arms"][0]["name"]
    written = export(
        trial.run, arm, tmp_path / "bundle", results=results, although="a test", trust_code=True, runtimes=RUNTIMES
    )
    assert written["parity"]["openvino"]["probability"] < 1e-5
    for name in ("openvino-bf16", "openvino-int8"):
        held = written["parity"][name]["validation"]
        assert held["lower"] > held["allowed"]
    assert set(written["timings"]["ms_per_case"]) == {"torch", "onnx", *RUNTIMES}
    for name in RUNTIMES:
        assert Bundle(tmp_path / "bundle", name).golden_difference < 0.5
    export(trial.run, arm, tmp_path / "again", results=results, although="a test", trust_code=True, runtimes=RUNTIMES)
    for file in sorted((tmp_path / "bundle").iterdir()):
        assert file.read_bytes() == (tmp_path / "again" / file.name).read_bytes(), file.name
    card = (tmp_path / "bundle" / "CARD.md").read_text()
    assert "OpenVINO in 8-bit integers, loss of performance" in card


@pytest.mark.slow
def test_a_few_validation_cases_cannot_show_that_integers_are_no_worse(segmentation_trial, tmp_path):
    pytest.importorskip("nncf", reason=f"nncf {WITHOUT}")
    from equipoise.deploy.export import export
    from equipoise.report import summarise

    trial = segmentation_trial.copy(tmp_path / "trial")
    settings = {"results": summarise(trial.run, True), "although": "a test", "trust_code": True}
    with pytest.raises(
        EquipoiseError, match="openvino-int8 is not shown to be non-inferior: on the 6 validation cases"
    ):
        export(trial.run, "unet", tmp_path / "bundle", runtimes="openvino-int8", **settings)
    assert not (tmp_path / "bundle").exists()


@pytest.mark.long
def test_openvino_reports_to_nobody(tmp_path):
    """Its package writes an identifier into the user's home when it is imported with its own telemetry."""
    pytest.importorskip("openvino", reason=f"openvino {WITHOUT}")
    folder = make_bundle(tmp_path / "bundle")
    code = "import sys; from equipoise.deploy.predictor import Bundle; Bundle(sys.argv[1], 'openvino')"
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {"HOME": str(home), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=environment)
    assert list(home.iterdir()) == []
