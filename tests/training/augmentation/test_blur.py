import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from equipoise.training.augmentation.blur import blur, smoothing


@pytest.mark.long
@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0.05, 6), min_size=2, max_size=2), st.sampled_from([(2, 2, 11, 23), (2, 1, 6, 9, 14)]))
def test_blurring_equals_scipys(sigmas, shape):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    found = blur(x, torch.tensor(sigmas))
    for n, sigma in enumerate(sigmas):
        for c in range(shape[1]):
            oracle = gaussian_filter(x[n, c].numpy(), sigma, mode="nearest")
            torch.testing.assert_close(found[n, c], torch.from_numpy(oracle), atol=1e-5, rtol=0)


def test_rows_sum_to_one_and_a_constant_stays():
    matrices = smoothing(torch.tensor([0.3, 2.0, 9.0]), 7)
    torch.testing.assert_close(matrices.sum(2), torch.ones(3, 7))


def test_images_without_blur_keep_their_bits():
    x = torch.rand(2, 1, 9, 9, generator=torch.Generator().manual_seed(0))
    found = blur(x, torch.tensor([0.0, 1.0]))
    assert torch.equal(found[0], x[0])
    assert blur(x, None) is x
    assert blur(x, torch.zeros(2)) is x


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_stay(dtype):
    assert blur(torch.rand(1, 1, 5, 5).to(dtype), torch.tensor([1.0])).dtype == dtype
