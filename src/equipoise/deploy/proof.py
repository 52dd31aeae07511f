"""Prove a bundle: the trial's predictions made again from its weights, and the runtime compared with the network."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load

from equipoise.cohorts.cohort import Image
from equipoise.deploy.golden import probabilities
from equipoise.deploy.predictor import Answer, Predictor
from equipoise.deploy.trained import TrainedJob
from equipoise.errors import EquipoiseError, PredictionError
from equipoise.evaluation.matched_scans import MarkedScan, marks_of
from equipoise.evaluation.predictions import Predictions, concatenate, read_parquet
from equipoise.evaluation.regions import labelled_only, region_masks
from equipoise.statistics.own import per_case_functions
from equipoise.tasks.task import FINDINGS, LABEL
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import endpoint_of, training_of
from equipoise.training.tasks.classification import validation_metric
from equipoise.training.tasks.detection import candidates_in
from equipoise.training.tasks.segmentation import case_value, segment, to_masks

SAME = 1e-6
"""Largest difference of the predictions made again: on the same machine and threads it is zero."""
NEAR = 1e-4
"""Largest difference of a probability between runtime and network, and the distance at which a decision is no tie."""


def learner_of(trained: TrainedJob, weights: bytes, validation: Samples) -> Learner:
    """Return the trained network as the trial predicted with it."""
    learner = build_learner(trained.job, device(), validation)
    learner.model.load_state_dict(load(weights))
    learner.model.eval()
    return learner


def reproduce(trained: TrainedJob, learner: Learner, parts: dict[str, Samples]) -> tuple[dict[str, Any], Predictions]:
    """Predict the trial's validation and test cases again; return the differences, and the new table.

    Raises EquipoiseError where a number differs by more than `SAME`, or a decision changes.
    """
    training, job = training_of(trained.job), trained.job
    with reproducible(job.training.threads):
        again = concatenate([training.predict(learner, samples, job, part)[0] for part, samples in parts.items()])
    before = read_parquet(job.predictions_file)
    if before.case.tolist() != again.case.tolist() or before.split.tolist() != again.split.tolist():
        raise EquipoiseError(f"{job.predictions_file} has other cases than the plan; restore the original")
    difference = max(_difference(before, again))
    changed = int((before.scores.argmax(1) != again.scores.argmax(1)).sum()) if before.scores.size else 0
    if not difference <= SAME or changed:
        raise EquipoiseError(
            f"the weights of {job.name} do not reproduce its predictions: they differ by up to {difference:.2g}"
            f"{f', and {changed} decisions change' if changed else ''}; export on the machine that ran the trial, with "
            "its versions, or restore the original weights"
        )
    return {"rows": len(again), "difference": difference, "threads": job.training.threads}, again


def _difference(before: Predictions, again: Predictions) -> Iterator[float]:
    yield _gap(before.scores, again.scores)
    for name, values in before.metrics.items():
        yield _gap(values, again.metrics[name])
    if before.candidates is not None and again.candidates is not None:
        for name, values in vars(before.candidates).items():
            other = np.asarray(vars(again.candidates)[name])
            if np.asarray(values).dtype.kind == "f":
                yield _gap(np.asarray(values), other)


def _gap(before: NDArray[Any], again: NDArray[Any]) -> float:
    if before.shape != again.shape:
        return np.inf
    same = (before == again) | (np.isnan(before) & np.isnan(again))
    with np.errstate(invalid="ignore"):
        return float(np.where(same, 0.0, np.nan_to_num(np.abs(before - again), nan=np.inf)).max(initial=0.0))


@dataclass
class _Tally:
    """Counts over the compared cases: decisions that changed, and those that did so away from a boundary."""

    cases: int = 0
    decisions: int = 0
    changed: int = 0
    changed_clearly: int = 0
    probability: float = 0.0

    def add(self, network: NDArray[Any], runtime: NDArray[Any], decide: Any, margin: Any) -> None:
        """Add one case's probabilities (outputs, …) by the network and by the runtime."""
        moved = decide(network) != decide(runtime)
        self.cases += 1
        self.decisions += moved.size
        self.changed += int(moved.sum())
        self.changed_clearly += int((moved & (margin(network) > NEAR)).sum())
        self.probability = max(self.probability, float(np.abs(network - runtime).max()))


@dataclass
class Compared:
    """The answers to the cases of a part, by the network in the trial's way and by a runtime in the bundle's."""

    tally: _Tally
    unit: str
    by_network: list[Any]
    by_runtime: list[Any]
    name: str
    endpoints: tuple[float, float]

    def as_json(self, runtime: str) -> dict[str, Any]:
        """Return the largest difference, the decisions changed and the endpoint both ways; runtime: its name."""
        values = [_plain(value) for value in self.endpoints]
        return vars(self.tally) | {
            "unit": self.unit,
            "endpoint": {"name": self.name, "torch": values[0], runtime: values[1]},
        }


def compare(trained: TrainedJob, learner: Learner, predictor: Predictor, samples: Samples) -> dict[str, Any]:
    """Answer every test case by the bundle's own way, and compare with the network in the trial's way.

    samples: the prepared test cases. Returns the largest difference, the decisions changed and the endpoint both ways.
    """
    return compared(trained, learner, predictor, samples, "test").as_json("onnx")


def compared(trained: TrainedJob, learner: Learner, predictor: Predictor, samples: Samples, part: str) -> Compared:
    """Answer every case of a part both ways; samples: its prepared cases."""
    job, contract = trained.job, predictor.contract
    decide, margin, unit = _decisions(predictor)
    tally = _Tally()
    by_network: list[Answer | NDArray[Any]] = []
    by_runtime: list[Answer | NDArray[Any]] = []
    with reproducible(job.training.threads):
        for index, network in enumerate(_network_answers(trained, learner, samples, part)):
            case = trained.cohort.cases[trained.parts[part][index]]
            image = case.read()
            prepared = predictor.prepare(image)
            if not np.array_equal(prepared.image, samples.images[index]):
                raise EquipoiseError(f"case {case.id} is preprocessed differently by the bundle; report this as a bug")
            runtime = probabilities(contract, predictor.logits(prepared.image))
            tally.add(network, runtime, decide, margin)
            by_network.append(_own_answer(trained, samples, index, network))
            by_runtime.append(runtime if contract.truth == LABEL else predictor.decide(prepared, image.spacing_mm))
        everyone = np.arange(len(samples))
        values = [endpoint_at(trained, samples, answers)(everyone) for answers in (by_network, by_runtime)]
    return Compared(tally, unit, by_network, by_runtime, job.primary, (values[0], values[1]))


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _decisions(predictor: Predictor) -> tuple[Any, Any, str]:
    """Return the decisions of probabilities (outputs, …), their distance from the boundary, and their name."""
    contract = predictor.contract
    if contract.truth == FINDINGS:
        level = contract.threshold
        return (lambda p: p[1] >= level), (lambda p: np.abs(p[1] - level)), "voxels above the candidates' threshold"
    if contract.targets == "regions":
        return (lambda p: p >= 0.5), (lambda p: np.abs(p - 0.5)), "voxels of a region"

    def ahead(p: NDArray[Any]) -> NDArray[Any]:
        """Return how far the likeliest class is ahead of the next, halved: both may move."""
        ordered = np.sort(p, axis=0)
        return np.asarray((ordered[-1] - ordered[-2]) / 2) if len(p) > 1 else np.ones(p.shape[1:])

    return (lambda p: np.asarray(p.argmax(axis=0))), ahead, "cases" if contract.truth == LABEL else "voxels"


def _network_answers(trained: TrainedJob, learner: Learner, samples: Samples, part: str) -> Iterator[NDArray[Any]]:
    """Yield probabilities (outputs, …) of every case of a part in the trial's batches."""
    if trained.job.task_record.truth == LABEL:
        yield from training_of(trained.job).predict(learner, samples, trained.job, part)[0].scores
        return
    yield from segment(learner, samples, trained.job)


def _own_answer(trained: TrainedJob, samples: Samples, index: int, probability: NDArray[Any]) -> Any:
    """Return the network's answer on the case's own grid, as the trial judges it."""
    job = trained.job
    if job.task_record.truth == LABEL:
        return probability
    grid = samples.grids[index]
    if job.task_record.truth == FINDINGS:
        found_here = candidates_in(job, probability[1], grid.prepared_spacing_mm)
        own = grid.places_back(found_here.centre_mm, samples.images[index].shape[1:])
        return Answer(grid.spacing_mm, candidates=replace(found_here, centre_mm=own))
    return Answer(grid.spacing_mm, masks={name: grid.back(mask) for name, mask in to_masks(job, probability).items()})


def endpoint_at(trained: TrainedJob, samples: Samples, answers: list[Any]) -> Callable[[NDArray[np.int64]], float]:
    """Return the primary endpoint as a function of the cases that count, by index; one may count several times."""
    job = trained.job
    if job.task_record.truth == LABEL:
        logits = torch.from_numpy(np.log(np.clip(np.stack(answers), 1e-300, None)))
        targets = torch.from_numpy(np.array(samples.targets))
        return lambda at: validation_metric(endpoint_of(job), logits[at], targets[at])
    if job.task_record.truth == FINDINGS:
        return lambda at: _of_findings(trained, samples, answers, at)
    own = per_case_functions(job.own, job.code)
    values = []
    for index, answer in enumerate(answers):
        truth = _truth(samples, index)
        masks = labelled_only(answer.masks, truth)
        spacing = samples.grids[index].spacing_mm
        values.append(case_value(job.primary, region_masks(truth, job.regions), masks, spacing, own))
    return lambda at: float(np.mean(np.array(values)[at]))


def _of_findings(trained: TrainedJob, samples: Samples, answers: list[Any], at: NDArray[np.int64]) -> float:
    scans = [
        MarkedScan.of(
            f"{samples.cases[k]}/{n}", samples.patients[k], "test", answers[k].candidates, samples.findings[k]
        )
        for n, k in enumerate(at.tolist())
    ]
    try:
        return float(endpoint_of(trained.job).needed_function()(marks_of(scans)))
    except PredictionError:  # these cases have no finding
        return float("nan")


def _truth(samples: Samples, index: int) -> NDArray[np.uint8]:
    if samples.truths is None:
        raise ValueError("samples of a segmenter carry the masks they are judged by")
    return np.asarray(samples.truths[index])


def refuse_disparity(parity: dict[str, Any], what: str) -> None:
    """Raise EquipoiseError where the runtime answers otherwise than the network."""
    if not parity["probability"] <= NEAR or parity["changed_clearly"]:
        raise EquipoiseError(
            f"{what} differs from the network: probabilities differ by up to {parity['probability']:.2g}, of which "
            f"{NEAR:g} is allowed, and {parity['changed_clearly']} of {parity['decisions']} decisions change that are "
            "no ties; export another training run with --job FOLD-SEED, or another arm"
        )


def is_oriented(images: list[Image]) -> bool:
    """Return whether the trial's images were turned by their place in space."""
    return any(len(image.spacing_mm) == 3 and image.affine is not None for image in images)
