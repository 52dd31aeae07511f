"""Try one call of a layer: is its answer finite, the same every time, and that of another kernel?

Freed memory is filled with patterns before each run, so that a kernel that reads what nobody wrote answers differently
each time. Every answer is held against float32 in contiguous memory; where that is the way itself, or where the two
disagree, against float64, which has kernels of its own.
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.training.learner.routes import DOUBLE, SINGLE_CONTIGUOUS, reroute
from equipoise.training.loop.layer_calls import Call, Sketch

PATTERNS = (0x7FC07FC0, 0x40404040)
"""Contents of freed memory, read as float32 or bfloat16: not a number, and 3.0."""
ROUNDING = {"float32": 2.0**-24, "bfloat16": 2.0**-9}
"""Largest relative error of one rounding."""
LARGEST_PATTERN = 1 << 23
"""Values; more than a scratch buffer of the layers that patches fit."""
DOUBLE_UP_TO = 5e9
"""Products of a layer up to which float64 is a quick reference, in about a second."""
CPU = torch.device("cpu")
Parts = dict[str, Tensor]


@dataclass(frozen=True)
class _Drawn:
    """A call with a layer of random weights and with random inputs, all of them exact in the precision."""

    call: Call
    layer: nn.Module
    inputs: Sequence[Any]
    precision: str
    layout: torch.memory_format
    device: torch.device


def fault_of(
    call: Call,
    precision: str,
    route: str | None,
    layout: torch.memory_format,
    stage: Callable[[str], None] = lambda _: None,
    device: torch.device = CPU,
) -> str | None:
    """Return what is wrong with a call on a route (None: as the model makes it); None where it is sound.

    layout: of the model's maps. stage: called with what is computed next, "answer" or "reference", to tell a crash.
    device: where the layer computes; values are drawn on the CPU, so that they are the same everywhere.
    """
    drawn = _drawn(call, precision, layout, device)
    stage("answer")
    # Four times in training, where kernels that read beyond their buffers crash or differ by chance.
    runs = [_run(drawn, route, pattern) for pattern in (PATTERNS * 2 if call.trained else PATTERNS)]
    for name, first in runs[0].items():
        if not all(bool(run[name].isfinite().all()) for run in runs):
            return f"its {name} is not finite"
        if not all(torch.equal(first, run[name]) for run in runs[1:]):
            return f"its {name} differs from run to run"
    stage("reference")
    return _compared(drawn, route, runs[0])


def _compared(drawn: _Drawn, route: str | None, run: Parts) -> str | None:
    """Hold a run against the reference; a reference that disagrees is itself held against float64."""
    if route == DOUBLE:
        return None  # its own reference
    same = route == SINGLE_CONTIGUOUS or (drawn.precision == "float32" and (route or _is_contiguous(drawn)))
    quick = _products(drawn) <= DOUBLE_UP_TO
    fault = None
    for way in (*(() if same else (SINGLE_CONTIGUOUS,)), *((DOUBLE,) if quick or not same else ())):
        fault = _disagreement(drawn, way, run)
        if fault is None:
            return None
    return None if _cancels(drawn, run) else fault


def _cancels(drawn: _Drawn, run: Parts) -> bool:
    """Whether the layer is a normalisation so ill-conditioned here that float32 misses float64 by as much."""
    # Of two values a normalisation makes 1 and -1, and the gradient is what is left of their cancellation. Layers with
    # products are never excused: theirs are sums of independent terms.
    if any(parameter.ndim > 1 for parameter in drawn.layer.parameters()):
        return False
    single = replace(drawn, precision="float32", inputs=[_single(x) for x in drawn.inputs])
    plain, exact = (_run(single, way, PATTERNS[0]) for way in (SINGLE_CONTIGUOUS, DOUBLE))
    worse = 8 * ROUNDING[drawn.precision] / ROUNDING["float32"]
    return all(float((run[n] - x).norm()) <= worse * float((plain[n] - x).norm()) + 1e-20 for n, x in exact.items())


def _disagreement(drawn: _Drawn, way: str, run: Parts) -> str | None:
    unit = ROUNDING[drawn.precision]
    single = replace(drawn, precision="float32", inputs=[_single(x) for x in drawn.inputs])
    reference = _run(single, way, PATTERNS[0])
    fault = _first_difference(drawn.precision, run, reference, reference)
    if fault is None:
        return None
    # Excused is as much as one rounding of the inputs changes the answer, which is large where a layer cancels
    # (normalisation of few values) or chooses (the largest of equal values).
    shaken = _run(replace(single, inputs=_shaken(single.inputs, unit)), way, PATTERNS[0])
    return _first_difference(drawn.precision, run, reference, shaken)


def _first_difference(precision: str, run: Parts, reference: Parts, shaken: Parts) -> str | None:
    """Return the first part of a run that differs from the reference by more than roundings explain."""
    terms = max((value.numel() for value in run.values()), default=1)
    sums = _tolerance("float32", terms)
    for name, exact in reference.items():
        if name not in run or not bool(exact.isfinite().all()):
            continue
        size, error = float(exact.norm()), float((run[name] - exact).norm())
        moved = 4 * float((shaken[name] - exact).norm()) + 1e-20
        # Roundings cancel in the projection on the reference; a wrong factor does not.
        factor = abs(float((run[name] * exact).sum()) - size**2) / max(size, 1e-30)
        right = error <= _tolerance(precision, terms) * size + moved
        if not right or not factor <= max(2 * ROUNDING[precision], sums) * size + moved:
            return f"its {name} is wrong by {100 * error / max(size, 1e-30):.2g} %"
    return None


def _tolerance(precision: str, terms: int) -> float:
    """Return the relative error that sums of many terms in another order may have.

    Errors of n roundings add up like a random walk, sqrt(n) of them, in float32, in which half precisions sum too; a
    half precision also rounds what the layer computes in between, and its answer.
    """
    sums = min(16 * ROUNDING["float32"] * math.sqrt(terms), 2e-3)
    return sums if precision == "float32" else max(8 * ROUNDING[precision], sums)


def _products(drawn: _Drawn) -> float:
    """Return about how many products one pass of the layer has."""
    weight = getattr(drawn.layer, "weight", None)
    values = max((math.prod((*x.shape[:1], *x.shape[2:])) for x in drawn.inputs if isinstance(x, Tensor)), default=0)
    return float(values * (weight.numel() if isinstance(weight, Tensor) else 1))


def _is_contiguous(drawn: _Drawn) -> bool:
    tensors = (x for x in (*drawn.inputs, *drawn.layer.parameters()) if isinstance(x, Tensor))
    return all(x.is_contiguous() for x in tensors)


def _drawn(call: Call, precision: str, layout: torch.memory_format, device: torch.device) -> _Drawn:
    """Draw weights and inputs from a generator of its own."""
    draws = torch.Generator().manual_seed(0)
    layer = copy.deepcopy(call.layer)

    def values(shape: Sequence[int]) -> Tensor:
        """Draw normal values that the precision holds exactly."""
        drawn = torch.randn(tuple(shape), generator=draws)
        return drawn.to(torch.bfloat16).float() if precision == "bfloat16" else drawn

    with torch.no_grad():
        for parameter in layer.parameters():
            vector = parameter.ndim < 2
            spread = 0.125 if vector else parameter[0].numel() ** -0.5
            new = (values(parameter.shape) * spread + float(vector)).to(parameter.device)
            parameter.copy_(new.to(torch.bfloat16) if precision == "bfloat16" else new)
    inputs = [_filled(x, values(x.shape)) if isinstance(x, Sketch) else x for x in call.inputs]
    inputs = [x.to(device) if isinstance(x, Tensor) else x for x in inputs]
    return _Drawn(call, layer.to(device), inputs, precision, layout, device)


def _filled(sketch: Sketch, values: Tensor) -> Tensor:
    dtype = getattr(torch, sketch.dtype)
    # An expanded axis cannot be written into; the layer gets a copy of its own.
    shared = any(step == 0 and side > 1 for side, step in zip(sketch.shape, sketch.stride, strict=True))
    if shared:
        return values.to(dtype)
    return torch.empty_strided(sketch.shape, sketch.stride, dtype=dtype).copy_(values)


def _single(x: Any) -> Any:
    return x.float() if isinstance(x, Tensor) and x.is_floating_point() else x


def _shaken(inputs: Sequence[Any], unit: float) -> list[Any]:
    """Return the inputs with every value changed by up to one rounding."""
    draws = torch.Generator().manual_seed(2)
    floating = [isinstance(x, Tensor) and x.is_floating_point() for x in inputs]
    return [
        x * (1 + unit * (2 * torch.rand(x.shape, generator=draws) - 1).to(x.device)) if moves else x
        for x, moves in zip(inputs, floating, strict=True)
    ]


def _run(drawn: _Drawn, route: str | None, pattern: int) -> Parts:
    """Run both passes of the layer once on poisoned memory; return answers, gradients and buffers in float32."""
    call, layer = drawn.call, copy.deepcopy(drawn.layer)
    if route is not None:
        reroute(layer, route, drawn.layout)
    leaves = [_leaf(x, sketch, call.trained) for x, sketch in zip(drawn.inputs, call.inputs, strict=True)]
    half = drawn.precision == "bfloat16"
    poison(pattern, _sizes([*leaves, *layer.parameters()]), drawn.device)
    kind = drawn.device.type
    with _seeded(), torch.set_grad_enabled(call.trained), torch.autocast(kind, torch.bfloat16, enabled=half):
        answers = [y for y in _flat(layer(*leaves, **call.settings)) if y.is_floating_point()]
    parts = {f"answer {k}" if k else "answer": _kept(y) for k, y in enumerate(answers)}
    ends = [y for y in answers if y.requires_grad]
    if ends:
        draws = torch.Generator().manual_seed(1)
        drawn_gradients = [torch.randn(y.shape, generator=draws).to(torch.bfloat16) for y in ends]
        gradients = [torch.empty_like(y).copy_(g) for y, g in zip(ends, drawn_gradients, strict=True)]
        poison(pattern, _sizes([*leaves, *answers]), drawn.device)
        torch.autograd.backward(ends, gradients)
        owners = [*((f"input {k}", x) for k, x in enumerate(leaves)), *layer.named_parameters()]
        parts |= {f"gradient of {n}": _kept(x.grad) for n, x in owners if isinstance(x, Tensor) and x.grad is not None}
    return parts | {f"buffer {name}": _kept(b) for name, b in layer.named_buffers() if b.is_floating_point()}


def _leaf(x: Any, sketch: Any, trained: bool) -> Any:
    if not isinstance(x, Tensor):
        return x
    copied = x.detach().clone(memory_format=torch.preserve_format)
    return copied.requires_grad_(trained and isinstance(sketch, Sketch) and sketch.wants_gradient)


def _kept(x: Tensor) -> Tensor:
    return x.detach().to("cpu", torch.float32, copy=True).contiguous()


def _flat(answer: Any) -> Iterator[Tensor]:
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, list | tuple):
        for part in answer:
            yield from _flat(part)


@contextmanager
def _seeded() -> Iterator[None]:
    """Seed torch's stream inside the block (dropout in a layer), and restore it."""
    with torch.random.fork_rng(devices=list(range(torch.cuda.device_count()))):
        torch.manual_seed(0)
        yield


def _sizes(tensors: Sequence[Any]) -> list[int]:
    """Return sizes of buffers that kernels over these tensors are likely to ask for."""
    own = {x.numel() for x in tensors if isinstance(x, Tensor)}
    powers = {1 << k for k in range(6, 24, 2) if 1 << k <= 4 * max(own, default=1)}
    return sorted(size for size in own | powers | {2 * size for size in own} if 0 < size <= LARGEST_PATTERN)


def poison(pattern: int, sizes: Sequence[int], device: torch.device = CPU) -> None:
    """Fill memory with a 32-bit pattern in buffers of these sizes (values), and free it: kernels get it next."""
    filled = [torch.full((size,), pattern, dtype=torch.int32, device=device) for size in sizes]
    del filled
