"""Linear maps along each axis of an image: smooth fields from few numbers, and blurring."""

from collections.abc import Sequence

from torch import Tensor


def along_axes(values: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Values (n, c, *spatial) with a matrix applied along each spatial axis: (n, c, *rows of the matrices).

    A matrix is (rows, side), or (n, rows, side) where every image has its own.
    """
    n, channels = values.shape[:2]
    result = values.flatten(0, 1)
    for matrix in reversed(matrices):
        # the last axis is mapped and comes to the front in one product, so that nothing is ever copied about
        weights = matrix.expand(n, *matrix.shape[-2:]).repeat_interleave(channels, 0)
        mapped = weights @ result.flatten(1, -2).mT
        result = mapped.view(n * channels, -1, *result.shape[1:-1])
    return result.view(n, channels, *result.shape[1:])
