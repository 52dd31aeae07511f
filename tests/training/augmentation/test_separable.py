import torch

from equipoise.training.augmentation.separable import along_axes


def numbers(*shape):
    return torch.rand(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


def test_shared_matrices_equal_a_sum_over_every_axis():
    values, z, y, x = numbers(2, 3, 4, 5, 6), numbers(7, 4), numbers(8, 5), numbers(9, 6)
    oracle = torch.einsum("nczyx,iz,jy,kx->ncijk", values, z, y, x)
    torch.testing.assert_close(along_axes(values, [z, y, x]), oracle)


def test_every_image_may_have_its_own_matrix():
    values, y, x = numbers(2, 3, 5, 6), numbers(2, 8, 5), numbers(2, 9, 6)
    oracle = torch.einsum("ncyx,njy,nkx->ncjk", values, y, x)
    torch.testing.assert_close(along_axes(values, [y, x]), oracle)
