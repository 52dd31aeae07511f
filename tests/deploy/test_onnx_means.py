"""Normalisations of large images answer in ONNX Runtime as exact arithmetic does, whichever way they were exported."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from equipoise.deploy.onnx_means import average_in_steps

SIDES = (32, 40, 48)
EPSILON = 1e-5


def normalising(flat, groups, scale, shift):
    """A model of one instance normalisation of (n, 4, *SIDES): of groups of flattened channels, or of channels."""
    constants = {"scale": scale, "shift": shift}
    norm = helper.make_node("InstanceNormalization", ["x", "scale", "shift"], ["y"], epsilon=EPSILON)
    nodes = [norm]
    if flat:
        constants |= {"flat": np.array([0, groups, -1], np.int64)}
        norm.input[0], norm.output[0] = "flattened", "normal"
        nodes = [
            helper.make_node("Reshape", ["x", "flat"], ["flattened"]),
            norm,
            helper.make_node("Shape", ["x"], ["whole"]),
            helper.make_node("Reshape", ["normal", "whole"], ["y"]),
        ]
    image = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4, "d", "h", "w"]) for name in "xy"]
    held = [numpy_helper.from_array(values, name) for name, values in constants.items()]
    graph = helper.make_graph(nodes, "norm", image[:1], image[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def answers(model, images):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": images})[0]


def exact(images, groups, scale, shift):
    """The same in float64, by the formula."""
    parts = images.astype(np.float64).reshape(len(images), groups, -1)
    centred = parts - parts.mean(2, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(2, keepdims=True) + EPSILON)
    return (normal * scale[:, None] + shift[:, None]).reshape(images.shape)


@pytest.mark.parametrize(("flat", "groups"), [(True, 4), (True, 2), (False, 4)])
@pytest.mark.parametrize("plain", [True, False])
def test_a_large_image_is_normalised_as_by_exact_arithmetic(flat, groups, plain):
    draw = np.random.default_rng(0)
    images = draw.gamma(0.5, 3.0, size=(2, 4, *SIDES)).astype(np.float32) + np.float32(20.0)
    scale, shift = np.ones(groups, np.float32), np.zeros(groups, np.float32)
    if not plain:
        scale, shift = draw.normal(size=(2, groups)).astype(np.float32)
    model = normalising(flat, groups, scale, shift)
    before, right = answers(model, images), exact(images, groups, scale, shift)
    average_in_steps(model, SIDES)
    onnx.checker.check_model(model, full_check=True)
    assert "InstanceNormalization" not in {node.op_type for node in model.graph.node}
    after = answers(model, images)
    spread = np.abs(right).max()
    assert np.abs(after - right).max() < 3e-6 * spread
    assert np.abs(after - right).max() < 0.4 * np.abs(before - right).max()
    odd = images[:1, :, :17, :23, :29]
    assert np.abs(answers(model, odd) - exact(odd, groups, scale, shift)).max() < 3e-6 * spread


def test_an_image_of_another_shape_before_is_normalised_by_its_own_rows():
    """(1, 4, 1, 5, 56) seen as (1, 8, 2, 10, 7): 140 values a channel, which rows of 56 would not divide."""
    model = normalising(False, 8, np.ones(8, np.float32), np.zeros(8, np.float32))
    (norm,) = model.graph.node
    norm.input[0] = "seen"
    model.graph.initializer.append(numpy_helper.from_array(np.array([1, 8, 2, 10, 7], np.int64), "shape"))
    model.graph.node.insert(0, helper.make_node("Reshape", ["x", "shape"], ["seen"]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8, 2, 10, 7]))
    average_in_steps(model, SIDES)
    images = np.random.default_rng(0).normal(size=(1, 4, 1, 5, 56)).astype(np.float32)
    right = exact(images.reshape(1, 8, 2, 10, 7), 8, np.ones(8), np.zeros(8))
    assert np.abs(answers(model, images) - right).max() < 1e-5


def test_small_pictures_keep_their_one_node():
    model = normalising(False, 4, np.ones(4, np.float32), np.zeros(4, np.float32))
    before = model.SerializeToString(deterministic=True)
    average_in_steps(model, (64, 64))
    assert model.SerializeToString(deterministic=True) == before
