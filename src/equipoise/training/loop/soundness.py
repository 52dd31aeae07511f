"""Try every layer of an arm before anything is trained, and find for each unsound one a route that is sound."""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.runfolder.job import Job
from equipoise.training.data.batches import Feed, batches
from equipoise.training.data.samples import Samples
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.routes import DOUBLE, NOT_COMPILED, reroute, routes_for
from equipoise.training.loop.arm import import_shared_code
from equipoise.training.loop.blame import of_the_arm
from equipoise.training.loop.determinism import device, device_name, generator, reproducible, seeded
from equipoise.training.loop.layer_calls import Call, layers_of, traced
from equipoise.training.loop.layer_trial import PATTERNS, fault_of, poison
from equipoise.training.loop.train import build_learner

FAILS = "it fails"
MOST_CASES = 4
"""Cases of the batch on which a whole network is tried."""
WHOLE = {"float32": 1e-3, "bfloat16": 5e-2}
"""Largest relative difference of a compiled network's answer; the roundings of some dozens of layers add up."""


@dataclass(frozen=True)
class Request:
    """What a worker tries: one arm in one precision.

    job: a job of the arm, without routes. samples: its first prepared cases. parts: numbers of cases that are answered
    together later (validation, test), and of training. verdicts: by call and route, of earlier tries and of the cache:
    a fault, or "" where it is sound. log: file in which the worker notes what it tries, for a crash. safely: trace on
    float64, after a crash in the model's own pass.
    """

    job: Job
    samples: Samples
    training_cases: int
    other_cases: tuple[int, ...]
    verdicts: Mapping[str, str]
    log: Path
    safely: bool = False


def try_layers(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Try the calls of every layer of an arm; return `unsound` layers with fault and route, and all `verdicts`.

    fields: those of `Request`, because the first process, which holds no torch, cannot import it.
    """
    request = Request(**fields)
    job = request.job
    import_shared_code(job)
    with reproducible(job.training.threads):
        # Not compiled: hooks see the layers of a plain network alone.
        learner = build_learner(job.settled(job.training.precision, False), device(), request.samples)
        tries = _Tries(request, learner.layout)
        for call in _calls(request, learner, tries):
            tries.settle(call)
        tries.note(whole=True)
        _settle_whole(request, tries)
    return {"unsound": list(tries.unsound.values()), "verdicts": tries.verdicts, "shared": tries.shared}


def verdict_key(call: str, precision: str, route: str | None) -> str:
    """Return the name of a verdict: the call, the model's precision and the route."""
    return f"{call}:{precision}:{route or 'as is'}"


class _Tries:
    """The verdicts on calls, each written to the log before and after its try."""

    def __init__(self, request: Request, layout: torch.memory_format) -> None:
        self.job = request.job
        self.precision, self.arm, self.layout = request.job.training.precision, request.job.arm.name, layout
        self.verdicts, self.log = dict(request.verdicts), request.log
        # Graphics cards differ in their kernels, and one machine may have several.
        self.place = "" if device().type == "cpu" else f"{device_name()}:"
        self.unsound: dict[str, dict[str, str]] = {}
        self.shared: list[str] = []

    def note(self, **line: Any) -> None:
        """Append a line to the log; it survives a crash of this process."""
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def verdict(self, call: Call, route: str | None) -> str:
        """Return the fault of a call on a route; empty where it is sound."""
        key = self.place + verdict_key(call.key, self.precision, route)
        if call.shared and key not in self.shared:
            self.shared.append(key)
        if key not in self.verdicts:
            try:
                fault = fault_of(
                    call, self.precision, route, self.layout, lambda stage: self.note(trying=key, stage=stage), device()
                )
            # Of any kind, as a layer that has no kernel for this layout or precision: no answer, so no route.
            except Exception as error:
                # Kept in a cache: what own code says there may name a patient.
                own = of_the_arm(error, self.job)
                fault = f"{FAILS} ({type(error).__name__}{'' if own else f': {error}'})".split("\n")[0]
            self.verdicts[key] = fault or ""
            self.note(tried=key, fault=self.verdicts[key])
        return self.verdicts[key]

    def settle(self, call: Call) -> None:
        """Find the fault of a call, and the first sound route; of a layer's calls the one that needs most decides."""
        fault = self.verdict(call, None)
        # What fails with a message is no unsound kernel: the arm's own step reports it.
        if not fault or fault.startswith(FAILS):
            return
        routes = routes_for(self.precision)
        first = routes.index(self.unsound[call.name]["route"]) if call.name in self.unsound else 0
        route = next((route for route in routes[first:] if not self.verdict(call, route)), None)
        if route is None:
            raise self.refusal(call.name, fault, call.shared)
        self.unsound[call.name] = {"layer": call.name, "fault": fault, "route": route}

    def refusal(self, layer: str, fault: str, shared: bool = True) -> EquipoiseError:
        """Return the error of a layer without a sound route; one of the user's own may be the fault itself."""
        if not shared:
            return EquipoiseError(
                f"arm {self.arm!r}: the layer {layer!r} computes wrongly in every layout and precision ({fault}); "
                "correct it: draw random numbers with torch's generator alone, and initialise every value of an output"
            )
        what = f"the layer {layer!r}" if layer else "the whole network"
        return EquipoiseError(
            f"arm {self.arm!r}: this build of torch computes {what} wrongly ({fault}) in every layout and precision; "
            "install another version of torch, or leave the arm out"
        )


def _calls(request: Request, learner: Learner, tries: _Tries) -> list[Call]:
    """Trace the arm in training and in evaluation, on batches of every size that will occur."""

    def before(call: Call) -> None:
        """Note the layer that computes next: a crash in it ends this process."""
        tries.note(tracing=call.key, layer=call.name)

    with ExitStack() as undone:
        if request.safely:
            for layer in layers_of(learner.model):
                reroute(layer, DOUBLE, learner.layout)
                undone.callback(delattr, layer, "forward")
        return traced(learner.model, _answers(learner, request), before)


def _answers(learner: Learner, request: Request) -> list[Callable[[], object]]:
    """Return functions that answer a batch of every size: with gradients in training, without in evaluation."""
    job = request.job
    every, largest = Feed.of(job.training, job.spatial_dims), job.training.batch_size
    # Batches of a part differ by one case at most, of which the larger is taken. One case is answered alone, too.
    trained = min(largest, every.smallest(request.training_cases) + 1)
    answered = {1} | {len(next(batches(cases, largest))) for cases in request.other_cases if cases}
    if every.sampler is not None:
        answered = {1, largest}  # windows of a case: all batches but its last are full
    sizes = [(trained, True), *((size, False) for size in sorted(answered))]
    return [partial(_answer, learner, request, *one) for one in sizes]


def _answer(learner: Learner, request: Request, size: int, training: bool) -> list[Tensor] | None:
    """Answer one batch of the first case, or of a patch of it, repeated; None where the model raises."""
    images = _image(request).repeat(size, *(1 for _ in range(request.job.spatial_dims + 1))).to(learner.device)
    if training:
        learner.start_training()
    else:
        learner.model.eval()
    try:
        with nullcontext() if training else torch.inference_mode():
            return learner.outputs(images)
    # Of any kind: the arm's own first step reports it, with the arm's name.
    except Exception:
        return None


def _image(request: Request) -> Tensor:
    training = request.job.training
    feed = Feed(1, training.patch_of(request.job.spatial_dims), 1, training.foreground_patches)
    return next(feed.epoch(request.samples.head(1), generator(request.job.name))).images


def _settle_whole(request: Request, tries: _Tries) -> None:
    """Try the whole network on its routes, which also joins what lies between layers, or is compiled."""
    routes = tuple((row["layer"], row["route"]) for row in tries.unsound.values())
    fault = _whole_fault(request, routes)
    if fault is None:
        return
    whole = (*((NOT_COMPILED,) if request.job.training.compile is True else ()), *routes_for(tries.precision)[:-1])
    for route in whole:
        if _whole_fault(request, (*routes, ("", route))) is None:
            tries.unsound[""] = {"layer": "", "fault": fault, "route": route}
            return
    raise tries.refusal("", fault)


def _whole_fault(request: Request, routes: tuple[tuple[str, str], ...]) -> str | None:
    """Return what is wrong with one training pass of the network; None where it is the same every time, and finite."""
    job = replace(request.job, routes={request.job.training.precision: routes})
    runs = [_whole_pass(request, job, pattern) for pattern in PATTERNS]
    if any(run is None for run in runs):
        return None  # it raises: the arm's own first step reports that
    first, *others = [run for run in runs if run is not None]
    for name, value in first.items():
        if not all(torch.equal(value, run[name]) for run in others):
            return f"its {name} differs from run to run"
    if not all(bool(value.isfinite().all()) for value in first.values()):
        return None  # the same every time: the arm's own numbers, or its divergence
    return _compiled_fault(request, job, first) if job.training.compile is True else None


def _compiled_fault(request: Request, job: Job, compiled: dict[str, Tensor]) -> str | None:
    if ("", NOT_COMPILED) in job.routes[job.training.precision]:
        return None
    plain = _whole_pass(request, job.settled(job.training.precision, False), PATTERNS[0])
    answer, exact = compiled["answer"], (plain or compiled)["answer"]
    error = float((answer - exact).norm() / exact.norm().clamp(min=1e-30))
    allowed = WHOLE[job.training.precision]
    return None if error <= allowed else f"its compiled answer is wrong by {100 * error:.2g} %"


def _whole_pass(request: Request, job: Job, pattern: int) -> dict[str, Tensor] | None:
    learner = build_learner(job, device(), request.samples)
    size = max(2, Feed.of(job.training, job.spatial_dims).smallest(request.training_cases))
    poison(pattern, [1 << k for k in range(6, 21)], learner.device)
    with seeded("whole network"):
        outputs = _answer(learner, request, min(size, MOST_CASES), True)
    if outputs is None or not all(output.requires_grad for output in outputs):
        return None
    draws = generator("whole network")
    poison(pattern, [1 << k for k in range(6, 21)], learner.device)
    torch.autograd.backward(outputs, [torch.randn(y.shape, generator=draws).to(y.device) for y in outputs])
    named = learner.model.named_parameters()
    gradients = {f"gradient of {name}": value.grad for name, value in named if value.grad is not None}
    return {"answer": outputs[0].detach(), **gradients}
