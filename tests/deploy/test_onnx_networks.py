"""Every built-in network as ONNX: the same logits for any number of images and for odd sides."""

import logging

import numpy as np
import pytest
import torch

from equipoise import models
from equipoise.deploy.canaries import refuse_traces
from equipoise.deploy.onnx_file import _quiet_exporter, onnx_bytes
from equipoise.deploy.runtimes import onnx_network
from equipoise.errors import EquipoiseError
from equipoise.models.blocks import fit_to

BATCHES, ODD_SHAPES = (1, 2, 5, 17), 10


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize("name", ["UNet", "DenseNet", "DeepLab", "LateFusion"])
def test_a_network_answers_alike_in_both_forms(name, task, dims):
    torch.manual_seed(0)
    channels = 2
    model = getattr(models, name)(channels, 2, dims, task=task, preset="tiny").eval()
    smallest = max(int(getattr(model, "smallest_side", 8)), 16)
    content = onnx_bytes(model, channels, (smallest + 8,) * dims, dynamic=True)
    refuse_traces({"model.onnx": content})
    network, draw = onnx_network(content), np.random.default_rng(0)
    shapes = [(smallest + 8,) * dims] + [
        tuple(int(side) for side in draw.integers(smallest, smallest + 24, dims)) for _ in range(ODD_SHAPES)
    ]
    for index, shape in enumerate(shapes):
        images = draw.normal(size=(BATCHES[index % len(BATCHES)], channels, *shape)).astype(np.float32)
        with torch.inference_mode():
            expected = model(torch.from_numpy(images)).numpy()
        assert np.abs(network(images) - expected).max() < 1e-4 * max(1.0, np.abs(expected).max()), shape


class Branching(torch.nn.Module):
    """Decides by the values of an image, which no exporter can follow."""

    def forward(self, image):
        return image if bool(image.sum() > 0) else -image


@pytest.mark.slow
def test_a_network_that_cannot_be_traced_is_one_sentence():
    with pytest.raises(EquipoiseError, match="cannot be exported to ONNX") as refusal:
        onnx_bytes(Branching(), 1, (8, 8), dynamic=True)
    assert "\n" not in str(refusal.value)


def test_sides_are_fitted_without_a_branch_and_with_the_gradient_of_the_branch():
    for before, after in ((26, 27), (26, 26), (26, 25), (1, 2)):
        x = torch.arange(2.0 * before * 4).reshape(1, 2, before, 4).requires_grad_()
        fitted = fit_to(x, torch.Size((after, 4)))
        rows = [*range(min(before, after)), *([before - 1] if after > before else [])]
        assert torch.equal(fitted, x[:, :, rows])
        fitted.sum().backward()
        expected = torch.zeros(before)
        expected.index_add_(0, torch.tensor(rows), torch.ones(after))
        assert torch.equal(x.grad[0, 0, :, 0], expected)


def test_the_exporter_is_quiet_and_its_logger_as_before(caplog):
    exporter = logging.getLogger("torch.onnx._internal.exporter._registration")
    with _quiet_exporter():
        exporter.warning("torchvision is not installed. Skipping torchvision::nms")
        exporter.error("this is seen")
    exporter.warning("this too")
    assert [record.message for record in caplog.records] == ["this is seen", "this too"]
