"""Averages over many voxels, exported so that a runtime that adds them one after another keeps its digits.

ONNX Runtime normalises a channel by one running sum in float32. Over the 110,592 voxels of a patch of 48³ that sum is
wrong by 2e-4 of the channel's spread, and a probability by 6e-5; torch adds in blocks. Here the rows are averaged
first, then their averages: as many additions, and errors of 2e-6.
"""

from collections.abc import Iterable, Iterator
from math import prod
from typing import Any

import numpy as np

_FEW = 2**12
"""Up to so many pixels, as of a picture of 64 × 64, one sum is exact enough and fewer nodes are faster."""


def average_in_steps(model: Any, sides: tuple[int, ...]) -> None:
    """Replace the instance normalisations of an ONNX model in place; none where an image of `sides` has few pixels."""
    graph = model.graph
    if prod(sides) <= _FEW:
        return
    made_by = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        if node.op_type != "InstanceNormalization":
            nodes.append(node)
            continue
        added, steps = _steps(node, _unflattened(node, made_by, constants), constants)
        graph.initializer.extend(added)
        nodes.extend(steps)
    del graph.node[:]
    graph.node.extend(nodes)
    _remove_unused(graph)


def _unflattened(node: Any, made_by: dict[str, Any], constants: dict[str, Any]) -> str:
    """Return the name of the image whose last axis gives the length of a row, which divides what is averaged."""
    from onnx import numpy_helper

    maker = made_by.get(node.input[0])
    if maker is not None and maker.op_type == "Reshape" and maker.input[1] in constants:
        shape = numpy_helper.to_array(constants[maker.input[1]]).tolist()
        # So exporters flatten for group normalisation: (n, group, all others). Of another change of shape the last axis
        # before may not divide what comes after.
        if len(shape) == 3 and shape[0] == 0 and shape[2] == -1:
            return str(maker.input[0])
    return str(node.input[0])


def _steps(node: Any, whole: str, constants: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return the constants and the nodes that do what an instance normalisation does, in steps."""
    from onnx import helper, numpy_helper

    source, scale, shift = node.input
    out = node.output[0]
    epsilon = next((attribute.f for attribute in node.attribute if attribute.name == "epsilon"), 1e-5)
    added, steps = [], []

    def constant(name: str, values: Any) -> str:
        """Add a constant; return its name."""
        added.append(numpy_helper.from_array(np.asarray(values), f"{out}_{name}"))
        return f"{out}_{name}"

    def do(operator: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Add a node; return its output's name, which without `name` is that of the node replaced."""
        steps.append(helper.make_node(operator, inputs, [f"{out}_{name}" if name else out], **attributes))
        return str(steps[-1].output[0])

    rows, lines = constant("rows", np.array([3], np.int64)), constant("lines", np.array([2], np.int64))

    def mean(name: str, values: str) -> str:
        """Average (n, group, row, place) over each row, then over the rows."""
        return do("ReduceMean", name, do("ReduceMean", f"{name}_rows", values, rows, keepdims=1), lines, keepdims=1)

    width = do("Shape", "width", whole, start=-1)
    shape = do("Concat", "shape", constant("groups", np.array([0, 0, -1], np.int64)), width, axis=0)
    values = do("Reshape", "values", source, shape)  # (n, group, row, place in the row)
    centred = do("Sub", "centred", values, mean("mean", values))
    variance = mean("variance", do("Mul", "squares", centred, centred))
    spread = do("Sqrt", "spread", do("Add", "positive", variance, constant("epsilon", np.float32(epsilon))))
    values = do("Div", "normal", centred, spread)
    for operator, name, neutral in (("Mul", scale, 1.0), ("Add", shift, 0.0)):
        if name in constants and np.all(numpy_helper.to_array(constants[name]) == neutral):
            continue
        column = constant(f"{operator}_shape", np.array([-1, 1, 1], np.int64))
        values = do(operator, f"{operator}_by_group", values, do("Reshape", f"{operator}_column", name, column))
    do("Reshape", "", values, do("Shape", "as_before", source))
    return added, steps


def _remove_unused(graph: Any) -> None:
    """Remove constants that no node reads any more; a runtime would warn of each."""
    read = set(_read(graph.node)) | {output.name for output in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in read]
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _read(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield the names that nodes read, those of their inner graphs too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            for inner in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                yield from _read(inner.node)
                yield from (output.name for output in inner.output)
