"""Bundles made by hand: one layer of known weights, so that every answer can be computed on paper."""

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import save

from equipoise.cohorts.cohort import Image
from equipoise.deploy.bundle import CARD, GOLDEN, NETWORK, PARITY, RECORD, WEIGHTS, write_bundle
from equipoise.deploy.contract import Contract, Window
from equipoise.deploy.golden import make_golden
from equipoise.deploy.limits import limits_of
from equipoise.deploy.predictor import Predictor
from equipoise.deploy.runtimes import onnx_network
from equipoise.deploy.verify import card_of, version_here
from equipoise.preprocessing import Pipeline

# background −, class 1 where the first channel is above 0.5, class 2 where it is above 1.5
SLOPES, OFFSETS = np.array([0.0, 1.0, 2.0]), np.array([0.0, -0.5, -2.0])


def onnx_model(outputs, channels, dims, *, per_case=False, slopes=SLOPES, offsets=OFFSETS):
    """Logits are slope · first channel + offset in each voxel; per_case: of the mean over the image."""
    weight = np.zeros((outputs, channels, *(1,) * dims), np.float32)
    weight[:, 0] = slopes[:outputs].reshape(-1, *(1,) * dims)
    start = helper.make_node("GlobalAveragePool", ["image"], ["mean"]) if per_case else None
    conv = helper.make_node("Conv", ["mean" if per_case else "image", "w", "b"], ["maps" if per_case else "logits"])
    end = helper.make_node("Flatten", ["maps"], ["logits"]) if per_case else None
    sides = [f"s{axis}" for axis in range(dims)]
    out = ["n", outputs] if per_case else ["n", outputs, *sides]
    graph = helper.make_graph(
        [node for node in (start, conv, end) if node is not None], "g",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["n", channels, *sides])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, out)],
        [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(offsets[:outputs].astype(np.float32), "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def contract_for(kind="mask", **changed):
    """A contract in three dimensions; kind: label, mask or findings."""
    classes = {
        "label": ("well", "ill"),
        "mask": ("background", "organ", "lesion"),
        "findings": ("background", "finding"),
    }
    made = Contract(
        truth=kind,
        classes=classes[kind],
        channels=("image",),
        spatial_dims=3,
        pipeline=Pipeline.from_settings({"scale": "none"}),
        window=Window(),
        regions={"organ": (1,), "lesion": (2,)} if kind == "mask" else {},
        oriented=kind != "label",
    )
    return replace(made, **changed)


def training_images(contract, sides=(6, 9, 8), spacing=(2.0, 1.0, 0.5)):
    """Two images that the limits are taken from."""
    draw = np.random.default_rng(3)
    sides, spacing = sides[-contract.spatial_dims :], spacing[-contract.spatial_dims :]
    shape = (len(contract.channels), *sides)
    return [Image(draw.uniform(0, 2, shape).astype(np.float32), spacing) for _ in range(2)]


PARITY_OF_LAYER = {
    "reproduction": {"difference": 0.0, "rows": 9},
    "onnx": {"cases": 5, "probability": 1e-7, "changed": 0, "changed_clearly": 0, "decisions": 99, "unit": "voxels",
             "endpoint": {"torch": 0.81, "onnx": 0.81}},
}  # fmt: skip


def make_bundle(folder, contract=None, content=None, **training):
    """Write a bundle of one layer to a folder; content: another ONNX file."""
    contract = contract or contract_for()
    per_case = contract.truth == "label"
    content = content or onnx_model(contract.outputs, len(contract.channels), contract.spatial_dims, per_case=per_case)
    limits = limits_of(training_images(contract, **training))
    predictor = Predictor(contract, onnx_network(content), limits)
    evidence = {
        "arm": "layer", "trial": "toy", "overruled": [], "although": "", "question": "?", "endpoint": "dice",
        "estimate": 0.8, "low": 0.7, "high": 0.9, "patients": 12, "this_run": 0.81, "baseline": {"reason": "better."},
        "comparisons": [], "exploratory": False, "exploratory_reasons": [],
    }  # fmt: skip
    provenance = {
        "job": "0-0", "job_chosen_by": "the median", "protocol_sha256": "p", "ledger_head": "l",
        "versions": {"torch": "2", "equipoise": version_here()},
    }  # fmt: skip
    record = {
        "schema": 1, "contract": contract.to_json(), "limits": limits, "provenance": provenance, "evidence": evidence,
        "network": {"name": "own:Layer", "settings": {}, "task": "segmentation", "parameters": 7},
        "reading": {"cases": 2, "with_files": 2, "alike": 2},
    }  # fmt: skip
    files = {
        NETWORK: content, WEIGHTS: save({"w": np.ones(3, np.float32)}), GOLDEN: make_golden(predictor, limits),
        PARITY: json.dumps(PARITY_OF_LAYER).encode(), CARD: card_of(record, PARITY_OF_LAYER),
    }  # fmt: skip
    write_bundle(Path(folder), record, files)
    return Path(folder)


def change(bundle, file, content, rehash=False):
    """Put another content into a file of a bundle; rehash: and make its record agree, as a forger would."""
    (bundle / file).write_bytes(content)
    if rehash:
        import hashlib

        record = json.loads((bundle / RECORD).read_text())
        record["files"][file] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        (bundle / RECORD).write_text(json.dumps(record))


def arrays_of(content):
    """The arrays of an .npz file in memory."""
    with np.load(io.BytesIO(content)) as archive:
        return {name: archive[name] for name in archive.files}
