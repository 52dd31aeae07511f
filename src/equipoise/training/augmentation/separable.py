"""Linear maps along each axis of an image, for smooth fields from few numbers and for blurring."""

from collections.abc import Sequence

from torch import Tensor


def along_axes(values: Tensor, matrices: Sequence[Tensor]) -> Tensor:
    """Apply a matrix along each spatial axis of (n, c, *spatial): (n, c, *rows of the matrices).

    A matrix is (rows, side), or (n, rows, side) where every image has its own.
    """
    n, channels = values.shape[:2]
    result = values.flatten(0, 1)
    for matrix in reversed(matrices):
        # One product maps the last axis and moves it to the front: after all axes the order is the first one again,
        # and no transposed copy was made.
        weights = matrix.expand(n, *matrix.shape[-2:]).repeat_interleave(channels, 0)
        mapped = weights @ result.flatten(1, -2).mT
        result = mapped.view(n * channels, -1, *result.shape[1:-1])
    return result.view(n, channels, *result.shape[1:])
