"""The heads: shapes, and where dropout stands."""

import pytest
import torch
from torch import nn

from equipoise.models.heads import head


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_segmentation_head_is_the_linear_head_on_every_pixel(spatial_dims: int) -> None:
    pixels, vector = head("segmentation", 5, 3, spatial_dims, 0.0), head("classification", 5, 3, spatial_dims, 0.0)
    weight, bias = vector[0].weight, vector[0].bias
    with torch.no_grad():
        pixels[0].weight.copy_(weight.reshape(pixels[0].weight.shape))
        pixels[0].bias.copy_(bias)
    features = torch.randn(2, 5, *(4,) * spatial_dims)
    expected = vector(features.movedim(1, -1)).movedim(-1, 1)
    torch.testing.assert_close(pixels(features), expected, atol=1e-6, rtol=1e-5)


def test_dropout_stands_before_a_classifiers_linear_layer_only() -> None:
    assert isinstance(head("classification", 5, 3, 2, 0.5)[0], nn.Dropout)
    assert len(head("segmentation", 5, 3, 2, 0.5)) == 1
    assert len(head("classification", 5, 3, 2, 0.0)) == 1
