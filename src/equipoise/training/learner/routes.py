"""Run a layer another way than the rest of its model, where this build's own way for it is unsound.

A route changes memory layout or precision and no formula, so that results differ by rounding alone.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

CONTIGUOUS, SINGLE, SINGLE_CONTIGUOUS, DOUBLE = "contiguous", "float32", "contiguous float32", "float64"
NOT_COMPILED = "not compiled"
"""A route of a whole model, whose name as a layer is empty."""
AXES = {torch.channels_last: 4, torch.channels_last_3d: 5}


def routes_for(precision: str) -> tuple[str, ...]:
    """Return the routes to try for a layer of a model in this precision, the cheapest first.

    float64 comes last: it has kernels of its own, and is slow.
    """
    if precision == "float32":
        return (CONTIGUOUS, DOUBLE)
    return (CONTIGUOUS, SINGLE, SINGLE_CONTIGUOUS, DOUBLE)


def apply_routes(model: nn.Module, routes: Iterable[tuple[str, str]], layout: torch.memory_format) -> None:
    """Make the named layers of a model follow their routes, (name, route); `layout` is that of the model's maps."""
    for name, route in routes:
        if route != NOT_COMPILED:
            reroute(model.get_submodule(name), route, layout)


def reroute(layer: nn.Module, route: str, layout: torch.memory_format = torch.contiguous_format) -> None:
    """Make one layer follow a route in both passes; its answers have `layout` where they are maps."""
    if route in (CONTIGUOUS, SINGLE_CONTIGUOUS):
        # The weights too: a kernel follows the layout of either.
        layer.to(memory_format=torch.contiguous_format)
    plain = layer.forward
    forward = _in_double(layer, plain) if route == DOUBLE else plain

    def routed(*inputs: Any, **settings: Any) -> Any:
        """Call the layer with converted inputs, and give its answer the layout and precision of the model."""
        first = next((x for x in inputs if isinstance(x, Tensor)), None)
        device = "cpu" if first is None else first.device.type
        half = torch.is_autocast_enabled(device)
        kind = torch.get_autocast_dtype(device) if half else None
        with torch.autocast(device, kind or torch.bfloat16, enabled=half and route == CONTIGUOUS):
            answer = forward(*(_converted(x, route) for x in inputs), **settings)
        return _mapped(answer, lambda y: _restored(y, first, kind, layout))

    layer.forward = routed


def _in_double(layer: nn.Module, forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return the layer's forward pass with its weights in float64; gradients flow back to the weights."""

    def double(*inputs: Any, **settings: Any) -> Any:
        """Call the layer with weights in float64, and keep what it wrote into its buffers."""
        weights = {name: value.double() for name, value in layer.named_parameters()}
        buffers = {name: value.double() for name, value in layer.named_buffers() if value.is_floating_point()}
        routed = layer.forward
        layer.forward = forward  # `functional_call` calls it
        try:
            answer = torch.func.functional_call(layer, (weights, buffers), inputs, settings)
        finally:
            layer.forward = routed
        with torch.no_grad():
            for name, value in layer.named_buffers():
                if name in buffers:
                    value.copy_(buffers[name])
        return answer

    return double


def _converted(x: Any, route: str) -> Any:
    if not isinstance(x, Tensor):
        return x
    if route != SINGLE:
        x = x.contiguous()
    if not x.is_floating_point() or route == CONTIGUOUS:
        return x
    return x.double() if route == DOUBLE else x.float()


def _restored(y: Tensor, first: Tensor | None, half: torch.dtype | None, layout: torch.memory_format) -> Tensor:
    """Return an answer in the model's layout, and in its precision: half where the model autocasts."""
    if not y.is_floating_point():
        return y
    kind = half or (torch.float32 if first is None or not first.is_floating_point() else first.dtype)
    own = layout if AXES.get(layout) == y.ndim else torch.contiguous_format
    return y.to(kind).contiguous(memory_format=own)


def _mapped(answer: Any, change: Callable[[Tensor], Tensor]) -> Any:
    if isinstance(answer, Tensor):
        return change(answer)
    if isinstance(answer, list | tuple):
        return type(answer)(_mapped(part, change) for part in answer)
    return answer
