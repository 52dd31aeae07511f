"""Prove the runtimes besides ONNX Runtime: what they change, on test and validation cases, and how long they take.

Runtimes of less precision change answers. They are taken where they are shown not to be worse by more than a fifth of
the trial's margin, on validation cases: test cases judged the arm and must not choose anything.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.deploy.contract import Contract
from equipoise.deploy.openvino_network import BFLOAT16, FLOAT32, INT8, openvino_network
from equipoise.deploy.predictor import Predictor
from equipoise.deploy.proof import Compared, compared, endpoint_at, refuse_disparity
from equipoise.deploy.quantization import MOST_IMAGES, integer_bytes
from equipoise.deploy.runtimes import threads_of
from equipoise.deploy.trained import TrainedJob
from equipoise.deploy.windows import Floats, Network
from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.tasks import endpoint_of

RUNTIMES = (FLOAT32, BFLOAT16, INT8)
SHARE_OF_MARGIN = 5
DRAWS = 1000
LOWER = 0.05
TIMED = 7


@dataclass
class Further:
    """What the further runtimes are: their parity by name, the file of integers, and the milliseconds of one case."""

    parity: dict[str, Any] = field(default_factory=dict)
    integers: bytes | None = None
    milliseconds: dict[str, float] = field(default_factory=dict)


def runtimes_of(names: str | Sequence[str]) -> tuple[str, ...]:
    """Return the runtimes by name, from a text joined by commas or a list; EquipoiseError for an unknown one."""
    chosen = tuple(filter(None, names.split(","))) if isinstance(names, str) else tuple(names)
    for name in chosen:
        if name not in RUNTIMES:
            raise EquipoiseError(f"--runtimes {name!r} is unknown; {nearest(name, RUNTIMES)}")
    return tuple(name for name in RUNTIMES if name in chosen)


def prove(
    trained: TrainedJob,
    learner: Learner,
    contract: Contract,
    network: bytes,
    parts: dict[str, Samples],
    names: Sequence[str],
) -> Further:
    """Compare every runtime named with the network on test and validation cases.

    learner: in float32. Raises EquipoiseError for one that may not be used: another answer in float32, or one that is
    not shown to be no worse in less precision.
    """
    further = Further()
    for name in names:
        content = network
        if name == INT8:
            content = further.integers = integer_bytes(network, _calibration(trained, contract), contract)
        predictor = Predictor(contract, openvino_network(content, name, threads_of()))
        test = compared(trained, learner, predictor, parts["test"], "test")
        further.parity[name] = test.as_json(name)
        if name == FLOAT32:
            refuse_disparity(further.parity[name], "OpenVINO")
        else:
            held = compared(trained, learner, predictor, parts["validation"], "validation")
            further.parity[name]["validation"] = _held(trained, held, parts["validation"], name)
    return further


def _calibration(trained: TrainedJob, contract: Contract) -> list[Floats]:
    """Return prepared training images, evenly spread."""
    train, predictor = trained.parts["train"], Predictor(contract, _never)
    chosen = np.unique(np.linspace(0, len(train) - 1, min(len(train), MOST_IMAGES)).astype(int))
    return [predictor.prepare(trained.cohort.cases[train[index]].read()).image for index in chosen]


def _never(images: Floats) -> Floats:
    raise ValueError(f"preparing an image asks no network, and {images.shape} came")


def _held(trained: TrainedJob, held: Compared, samples: Samples, name: str) -> dict[str, Any]:
    """Return the change of the endpoint on validation cases with its bound; refuse one beyond the margin's share."""
    change = endpoint_change(trained, held, samples)
    if change["allowed"] is None:
        raise EquipoiseError(
            f"the protocol states no margin, so the allowed change by {name} is not known; leave it out"
        )
    if not is_negligible(change):
        bound = "unknown" if change["lower"] is None else f"{change['lower']:.3g}"
        raise EquipoiseError(
            f"{name} is not shown to be non-inferior: on the {len(samples)} validation cases the change of "
            f"{trained.job.primary} has the lower bound {bound}, and a fifth of the margin allows "
            f"{change['allowed']:.3g}; leave it out of --runtimes"
        )
    return change


def is_negligible(change: Mapping[str, Any]) -> bool:
    """Return whether a change by `endpoint_change` was shown to be less than a fifth of the margin for the worse."""
    lower, allowed = change["lower"], change["allowed"]
    return lower is not None and allowed is not None and lower > allowed


def endpoint_change(trained: TrainedJob, held: Compared, samples: Samples) -> dict[str, Any]:
    """Return the change of the primary endpoint from the network to the runtime on the cases of `samples`.

    change: positive is better. lower: the 5th percentile over draws of patients with all of their cases; None where it
    is not known. allowed: minus a fifth of the margin; None where the protocol states none.
    """
    margin = trained.protocol.endpoints.margin
    sign = endpoint_of(trained.job).sign
    members: dict[str, list[int]] = {}
    for index, patient in enumerate(samples.patients):
        members.setdefault(patient, []).append(index)
    before, after = (endpoint_at(trained, samples, answers) for answers in (held.by_network, held.by_runtime))
    everyone = np.arange(len(samples))
    point = sign * (after(everyone) - before(everyone))
    changes = _draws(list(members.values()), lambda at: sign * (after(at) - before(at)))
    enough = len(changes) > DRAWS / 2 and np.isfinite(point)
    return {
        "cases": len(samples),
        "change": float(point) if np.isfinite(point) else None,
        "lower": float(np.quantile(changes, LOWER)) if enough else None,
        "allowed": None if margin is None else -margin / SHARE_OF_MARGIN,
        "draws": len(changes),
    }


def _draws(patients: Sequence[Sequence[int]], change: Callable[[NDArray[np.int64]], float]) -> NDArray[np.float64]:
    """Return the changes in draws of patients with replacement; those in which it is undefined are left out."""
    draw = np.random.default_rng(5)
    changes = []
    for _ in range(DRAWS):
        chosen = draw.integers(0, len(patients), len(patients))
        changes.append(change(np.concatenate([patients[k] for k in chosen])))
    values = np.array(changes, np.float64)
    return values[np.isfinite(values)]


def timed(learner: Learner, contract: Contract, networks: dict[str, Network], image: Floats) -> dict[str, float]:
    """Return the milliseconds that the trial's network in torch and each runtime take for one prepared image."""
    model = learner.model

    def eager(images: Floats) -> Floats:
        """Return the logits by torch, as the trial computes them."""
        with torch.inference_mode():
            answer: Any = model(torch.from_numpy(images))
        first = answer if isinstance(answer, torch.Tensor) else answer[0]
        return np.asarray(first.float().numpy())

    return {name: _one(Predictor(contract, network), image) for name, network in {"torch": eager, **networks}.items()}


def _one(predictor: Predictor, image: Floats) -> float:
    predictor.logits(image)
    spent = []
    for _ in range(TIMED):
        start = time.perf_counter()
        predictor.logits(image)
        spent.append(1000 * (time.perf_counter() - start))
    return round(median(spent), 3)
