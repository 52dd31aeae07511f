"""Export an arm of a finished trial as a bundle, after proving that the bundle answers as the trial did."""

import hashlib
import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import nn

from equipoise import models
from equipoise.atomic_write import write_json
from equipoise.cohorts.cohort import Image
from equipoise.deploy.bundle import (
    CARD,
    GOLDEN,
    INTEGERS,
    NETWORK,
    PARITY,
    RECORD,
    SCHEMA,
    WEIGHTS,
    prove_new,
    write_bundle,
)
from equipoise.deploy.canaries import refuse_traces
from equipoise.deploy.contract import Contract
from equipoise.deploy.example_pages import write_example_pages
from equipoise.deploy.file_reading import read_alike
from equipoise.deploy.further_runtimes import Further, endpoint_change, is_negligible, prove, runtimes_of, timed
from equipoise.deploy.golden import golden_gap, make_golden
from equipoise.deploy.limits import limits_of
from equipoise.deploy.onnx_file import onnx_bytes
from equipoise.deploy.openvino_network import INT8, openvino_network
from equipoise.deploy.predictor import Predictor
from equipoise.deploy.proof import NEAR, compare, compared, is_oriented, learner_of, refuse_disparity, reproduce
from equipoise.deploy.runtimes import onnx_network, threads_of
from equipoise.deploy.trained import TrainedJob, contract_of, recorded_weights, trained_job, weights_of
from equipoise.deploy.verify import card_of
from equipoise.errors import EquipoiseError
from equipoise.lookup import resolve, source_hash
from equipoise.plain_files import bytes_of, inside
from equipoise.progress import Watch, silent
from equipoise.protocol.arm import ENSEMBLE
from equipoise.protocol.stated_reason import is_placeholder
from equipoise.report.text.arm_evidence import arm_evidence
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import Ledger
from equipoise.runfolder.paths import LOCK, runtime_timings
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.arm import build_model, parameter_count
from equipoise.training.preparation.staging import stage

MOST_FOR_LIMITS = 200
"""Training cases whose spacing, sides and intensities are looked at, evenly spread."""
PACKAGES = ("equipoise", "torch", "numpy", "scipy", "onnx", "onnxruntime")


def export(
    run: str | Path,
    arm: str,
    out: str | Path,
    *,
    results: Mapping[str, Any],
    job: str | None = None,
    although: str | None = None,
    protocol: str | Path | None = None,
    trust_code: bool = False,
    runtimes: str | Sequence[str] = (),
    pages: Sequence[str] = (),
    watch: Watch = silent,
) -> dict[str, Any]:
    """Write the bundle of an arm to the new folder `out`; return its name, job and parity.

    results: of the run, recomputed from its predictions. job: FOLD-SEED in place of the run with the median
    validation value. although: why an arm is exported that the trial does not recommend. protocol: where data and
    code lie now. trust_code: run code of the author's own that the folder names, as a network or a source of cases.
    runtimes: of `further_runtimes.RUNTIMES`, proven besides ONNX Runtime. How long each takes is written into the run
    folder, and so is a page for each case that `pages` names.

    Raises EquipoiseError (one sentence) for everything that would make the bundle promise what it does not hold.
    """
    out = Path(out)
    prove_new(out)
    names = runtimes_of(runtimes)
    trained = trained_job(run, arm, job, protocol, trust_code)
    evidence = arm_evidence(trained.run.lock, arm, results)
    _refuse(evidence["overruled"], although, arm)
    weights = weights_of(trained)
    proven = _proven(trained, weights, watch, names)
    evidence["overruled"] += _arithmetic_changes(proven.parity, trained)
    _refuse(evidence["overruled"], although, arm)
    this_run = proven.parity["onnx"]["endpoint"]["torch"]
    evidence |= {"although": although if evidence["overruled"] else "", "this_run": this_run}
    record = _record(trained, proven, evidence)
    record["provenance"]["job_chosen_by"] = "named by the author" if job else "the median validation value of its arm"
    files = _files(record, proven, weights)
    places = (trained.run.path, trained.protocol.folder, trained.protocol.cohort_path)
    everything = {**files, RECORD: json.dumps(record, ensure_ascii=False).encode()}
    refuse_traces(everything, [place.resolve() for place in places if place])
    written = write_bundle(out, record, files)
    watch("exporting, steps", 4, 4)
    timings = _write_timings(trained, written.sha256, proven.further.milliseconds)
    predictor = Predictor(proven.contract, onnx_network(proven.network), proven.limits)
    shown = write_example_pages(trained, predictor, pages, written.sha256)
    return {
        "bundle": out.name, "sha256": written.sha256, "job": trained.job.name, "parity": proven.parity,
        "evidence": evidence, "timings": timings, "pages": shown,
    }  # fmt: skip


def _write_timings(trained: TrainedJob, bundle: str, milliseconds: dict[str, float]) -> dict[str, Any]:
    """Write how long each runtime took for one case beside the run, for its report; return what was written.

    Not into the bundle, whose bytes must be the same at every export.
    """
    timings = {
        "arm": trained.job.arm.name, "job": f"{trained.job.fold}-{trained.job.seed}", "bundle": bundle,
        "threads": threads_of(), "ms_per_case": milliseconds,
    }  # fmt: skip
    file = runtime_timings(trained.run.path, trained.job.arm.name)
    try:
        with inside(trained.run.path):
            write_json(file, timings)
    except (OSError, EquipoiseError) as error:  # a run folder that may only be read can still be exported
        return timings | {"not_written": str(error)}
    return timings


@dataclass(frozen=True)
class _Proven:
    """A network that was shown to answer as the trial did. limits: seen in training. parity: see `proof.compare`."""

    contract: Contract
    network: bytes
    limits: dict[str, Any]
    parity: dict[str, Any]
    golden: bytes
    further: Further


def _proven(trained: TrainedJob, weights: bytes, watch: Watch, names: Sequence[str] = ()) -> _Proven:
    """Reproduce the trial's predictions, export the network, and compare both on the test cases; names: of runtimes."""
    with tempfile.TemporaryDirectory(prefix="equipoise-export-") as folder:
        watch("exporting, steps", 1, 4)
        parts = _staged(trained, Path(folder))
        learner = learner_of(trained, weights, parts["validation"])
        reproduction, _ = reproduce(trained, learner, parts)
        watch("exporting, steps", 2, 4)
        images = training_images(trained)
        contract, network = _network(trained, weights, parts["test"], is_oriented(images))
        limits = limits_of(images)
        predictor = Predictor(contract, onnx_network(network), limits)
        watch("exporting, steps", 3, 4)
        # In float32, as the runtime computes; what the trial's own arithmetic changes is told apart.
        plain = replace(learner, precision=torch.float32)
        runtime = compare(trained, plain, predictor, parts["test"])
        refuse_disparity(runtime, "ONNX Runtime")
        parity = {"reproduction": reproduction, "onnx": runtime}
        if learner.precision != torch.float32:
            parity["arithmetic"] = _arithmetic(trained, learner, predictor, parts)
        golden = make_golden(predictor, limits)
        further = prove(trained, plain, contract, network, parts, names)
        networks = {"onnx": predictor.network}
        for name in names:
            content = further.integers if name == INT8 and further.integers else network
            networks[name] = openvino_network(content, name, threads_of())
            parity[name] = further.parity[name] | {"golden": golden_gap(golden, Predictor(contract, networks[name]))}
        further.milliseconds = timed(plain, contract, networks, np.array(parts["test"].images[0]))
    return _Proven(contract, network, limits, parity, golden, further)


def _files(record: Mapping[str, Any], proven: _Proven, weights: bytes) -> dict[str, bytes]:
    integers = {} if proven.further.integers is None else {INTEGERS: proven.further.integers}
    return {
        NETWORK: proven.network,
        **integers,
        WEIGHTS: weights,
        GOLDEN: proven.golden,
        PARITY: (json.dumps(proven.parity, indent=1, sort_keys=True, allow_nan=False) + "\n").encode(),
        CARD: card_of(record, proven.parity),
    }


def _refuse(reasons: list[str], although: str | None, arm: str) -> None:
    if although and although.strip() and is_placeholder(although):
        raise EquipoiseError(
            f"--although {although!r} is a placeholder and no reason; write why {arm} is exported nevertheless, as "
            '--although "a trial of the export, not for use", and the card prints it'
        )
    if reasons and not (although or "").strip():
        raise EquipoiseError(
            f"{arm} is not exported: {'; '.join(reasons)}; to export it anyway, give your reason with --although, and "
            "the card prints it"
        )


def _arithmetic(
    trained: TrainedJob, learner: Learner, predictor: Predictor, parts: Mapping[str, Samples]
) -> dict[str, Any]:
    """Return what the bundle's float32 changes in the answers of a trial of less precision, as for a runtime of less.

    learner: in the trial's precision. Test cases are reported; validation cases decide, as test cases must not choose.
    """
    change = compare(trained, learner, predictor, parts["test"])
    if change["changed"]:
        held = compared(trained, learner, predictor, parts["validation"], "validation")
        change["validation"] = endpoint_change(trained, held, parts["validation"])
    return change


def _arithmetic_changes(parity: Mapping[str, Any], trained: TrainedJob) -> list[str]:
    change = parity.get("arithmetic", {"changed": 0})
    if not change["changed"] or is_negligible(change["validation"]):
        return []
    counts, held = f"{change['changed']} of {change['decisions']} decisions", change["validation"]
    bound = "is not known" if held["lower"] is None else f"has the lower bound {held['lower']:+.3g}"
    limit = "the protocol states no margin" if held["allowed"] is None else f"the limit is {held['allowed']:+.3g}"
    precision, primary = trained.job.training.precision, trained.job.primary
    effect = f"on {held['cases']} validation cases the change of {primary} {bound}, and {limit}"
    return [f"the trial computed in {precision}, and in float32 {counts} change: {effect}"]


def _staged(trained: TrainedJob, folder: Path) -> dict[str, Samples]:
    """Prepare validation and test cases as for the trial's predictions."""
    targets = trained.protocol.training.targets
    return {
        part: stage(trained.cohort, trained.parts[part], trained.pipeline, folder / part, targets)
        for part in ("validation", "test")
    }


def training_images(trained: TrainedJob) -> list[Image]:
    """Return training images of the job, evenly spread, without their masks."""
    train = trained.parts["train"]
    chosen = np.unique(np.linspace(0, len(train) - 1, min(len(train), MOST_FOR_LIMITS)).astype(int))
    images = (trained.cohort.cases[train[index]].read() for index in chosen)
    return [Image(image.array, image.spacing_mm, None, image.affine) for image in images]


def _network(trained: TrainedJob, weights: bytes, test: Samples, oriented: bool) -> tuple[Contract, bytes]:
    """Return the contract and the ONNX file: with fixed sides where the trial fixed them, else with free ones."""
    job = trained.job
    model = build_model(job)
    model.load_state_dict(load(weights))
    model.eval()
    smallest = getattr(model, "smallest_side", None)
    patch, channels = job.training.patch_of(job.spatial_dims), job.channels
    if patch is not None:
        return contract_of(trained, None, oriented, None), onnx_bytes(model, channels, patch, dynamic=False)
    sides = tuple(map(int, test.images[0].shape[1:]))
    if trained.pipeline.size is None:
        try:
            content = onnx_bytes(model, channels, sides, dynamic=True)
            _try_odd_sides(model, content, channels, sides)
            return contract_of(trained, smallest, oriented, None), content
        except EquipoiseError:
            pass  # the network is then exported for the trial's own sides alone, which the contract states
    return contract_of(trained, smallest, oriented, sides), onnx_bytes(model, channels, sides, dynamic=False)


def _try_odd_sides(model: nn.Module, content: bytes, channels: int, sides: tuple[int, ...]) -> None:
    """Raise EquipoiseError where the file answers images of other sides otherwise than the network."""
    network, draw = onnx_network(content), np.random.default_rng(0)
    for number in range(3):
        shape = tuple(side + 1 + (3 * number + 2 * axis) % 5 for axis, side in enumerate(sides))
        images = draw.normal(size=(number + 1, channels, *shape)).astype(np.float32)
        try:
            with torch.inference_mode():
                answer: Any = model(torch.from_numpy(images))
        # Of any kind: this is the author's code, made for one size perhaps, as one with a linear layer over all pixels.
        except Exception as error:
            raise EquipoiseError(f"the network cannot process the shape {images.shape[1:]}") from error
        expected = (answer if isinstance(answer, torch.Tensor) else answer[0]).float().numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        if not float(np.abs(network(images) - expected).max()) <= NEAR * scale:
            raise EquipoiseError("the exported network fails or differs at other image sizes")


def _record(trained: TrainedJob, proven: _Proven, evidence: Mapping[str, Any]) -> dict[str, Any]:
    """Return bundle.json without its list of files."""
    job, run = trained.job, trained.run
    test = [trained.cohort.cases[index] for index in trained.parts["test"]]
    return {
        "schema": SCHEMA,
        "research_only": True,
        "contract": proven.contract.to_json(),
        "network": network_record(job) | {"parameters": parameter_count(build_model(job))},
        "arithmetic": {"precision": job.training.precision, "threads": job.training.threads},
        "provenance": {
            "job": f"{job.fold}-{job.seed}",
            "validation": {name: value if math.isfinite(value) else None for name, value in trained.validation.items()},
            "protocol_sha256": run.lock["protocol_sha256"],
            "lock_sha256": hashlib.sha256(bytes_of(run.path / LOCK)).hexdigest(),
            "ledger_head": Ledger(run.path).events[-1].hash,
            "weights_sha256": hashlib.sha256(bytes_of(job.weights_file)).hexdigest(),
            "weights_in_ledger": recorded_weights(trained) is not None,
            "predictions_sha256": hashlib.sha256(bytes_of(job.predictions_file)).hexdigest(),
            "cohort_fingerprint": run.lock["cohort"]["fingerprint"],
            "versions": _versions(proven.further.parity, run.lock.get("versions") or {}),
        },
        "evidence": dict(evidence),
        "limits": proven.limits,
        "reading": read_alike(test, trained.protocol.cohort_path, proven.contract),
        "codes": dict.fromkeys(proven.contract.regions),
    }


def network_record(job: Job) -> dict[str, Any]:
    """Return the name and the settings of a job's network; of an ensemble those of its members, in their order."""
    task = job.task_record.network
    if job.members:
        members = [network_record(member) for member in job.members]
        return {"name": ENSEMBLE, "settings": {"members": members}, "task": task, "source_sha256": None}
    named = job.arm.model
    digest = source_hash(named.name, resolve(named.name, models, "model", job.code))
    return {"name": named.name, "settings": named.settings, "task": task, "source_sha256": digest}


def _versions(further: Mapping[str, Any], locked: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that are installed here; locked: those of the trial, with the packages behind its arms."""
    versions = {}
    others = [name for name in locked if name not in ("python", *PACKAGES)]
    for name in (*PACKAGES, *others, *(("openvino",) if further else ()), *(("nncf",) if INT8 in further else ())):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "unknown"
    return versions
