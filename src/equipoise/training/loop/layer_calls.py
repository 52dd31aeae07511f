"""Which layers a model calls, with which inputs: found by hooks while it answers real batches."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import BuiltinFunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

_POOLING = (
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.Upsample,
)
_SHARED = ("torch.nn.", "equipoise.")
"""Packages whose layers are told by their class and settings; of a user's own class the source may change."""


@dataclass(frozen=True)
class Sketch:
    """A tensor without its values: shape, strides, kind of numbers, and whether a gradient flows back to it."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: str
    wants_gradient: bool

    @classmethod
    def of(cls, x: Tensor) -> "Sketch":
        """Describe a tensor."""
        kind = str(x.dtype).removeprefix("torch.")
        return cls(tuple(x.shape), tuple(x.stride()), kind, x.requires_grad)


@dataclass(frozen=True)
class Call:
    """A layer and the inputs of one call.

    name: of the layer in its model. inputs: sketches of floating tensors, any other argument as it was. trained:
    whether the model was in training, with gradients. key: tells the call from others on this machine. shared: whether
    the key holds beyond this model, for every layer of that class.
    """

    name: str
    layer: nn.Module
    inputs: tuple[Any, ...]
    settings: dict[str, Any]
    trained: bool
    key: str
    shared: bool


def traced(
    model: nn.Module, answers: Iterable[Callable[[], object]], before: Callable[[Call], None] = lambda _: None
) -> list[Call]:
    """Return every different call of every layer while `answers` are computed.

    Layers that are called alike have calls of one key, which `before` is given once, ahead of the first: what is known
    of one holds for all, and each of them needs its route.
    """
    calls: dict[tuple[str, str], Call] = {}
    keys: set[str] = set()

    def watch(name: str) -> Callable[..., None]:
        """Make the hook of one layer."""

        def hook(layer: nn.Module, inputs: tuple[Any, ...], settings: dict[str, Any]) -> None:
            """Note the call."""
            call = described(name, layer, inputs, settings)
            calls.setdefault((name, call.key), call)
            if call.key not in keys:
                keys.add(call.key)
                before(call)

        return hook

    layers = [(name, layer) for name, layer in model.named_modules() if _is_layer(layer)]
    hooks = [layer.register_forward_pre_hook(watch(name), with_kwargs=True) for name, layer in layers]
    try:
        for answer in answers:
            answer()
    finally:
        for handle in hooks:
            handle.remove()
    return list(calls.values())


def layers_of(model: nn.Module) -> list[nn.Module]:
    """Return the layers that `traced` watches."""
    return [layer for layer in model.modules() if _is_layer(layer)]


def _is_layer(layer: nn.Module) -> bool:
    """Whether a module computes by itself, and more than value by value."""
    if any(True for _ in layer.children()):
        return False
    return isinstance(layer, _POOLING) or any(True for _ in layer.parameters())


def _untouched(layer: nn.Module) -> bool:
    """Whether the layer computes by the functions of its own library, which nobody replaced in this process."""
    methods = (getattr(type(layer), name, None) for name in ("forward", "_conv_forward", "__call__"))
    own = all(str(getattr(method, "__module__", "torch.nn.")).startswith(_SHARED) for method in methods if method)
    functions = ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
    native = all(
        isinstance(getattr(place, name), BuiltinFunctionType) for name in functions for place in (torch, functional)
    )
    return own and native and isinstance(functional.linear, BuiltinFunctionType) and "forward" not in vars(layer)


def described(name: str, layer: nn.Module, inputs: tuple[Any, ...], settings: dict[str, Any]) -> Call:
    """Return the call of a layer with these arguments."""
    drawn = tuple(Sketch.of(x) if isinstance(x, Tensor) and x.is_floating_point() else x for x in inputs)
    kind = f"{type(layer).__module__}.{type(layer).__qualname__}"
    shared = kind.startswith(_SHARED) and _untouched(layer)
    weights = {key: repr(Sketch.of(value)) for key, value in (*layer.named_parameters(), *layer.named_buffers())}
    plain = {key: repr(value) for key, value in vars(layer).items() if isinstance(value, int | float | str | tuple)}
    trained = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    facts = [kind, plain, weights, repr(drawn), repr(settings), trained, "" if shared else name]
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:24]
    return Call(name, layer, drawn, settings, trained, key, shared)
