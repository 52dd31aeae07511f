"""Whether a network can be exported with free sizes: Python branches on sizes inside `forward` break there."""

import logging
import warnings
from collections.abc import Sequence

import torch
from torch import nn

from equipoise.testing.violation import described

ODD = ((1, 3, 5), (5, 2, 4), (2, 6, 3))
"""Pixels that each axis of the three tried sizes has beyond the exported one."""


def answers_other_sizes(model: nn.Module, images: torch.Tensor) -> str | None:
    """Export the network with free sizes and let it answer three odd shapes; return what fails, None where all agree.

    Args:
        model: in any mode; it is evaluated.
        images: (n, c, *spatial), the size that the export sees.
    """
    free = dict.fromkeys(range(2, images.ndim), torch.export.Dim.AUTO)
    model.eval()
    logger = logging.getLogger("torch.export")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(model, (images,), dynamic_shapes=(free,), strict=False).module()
            return _compared(model, exported, images)
    # Of any kind: whatever the tracer raises for the code of a model.
    except Exception as error:
        return f"it cannot be exported with free sizes ({described(error)})"
    finally:
        logger.setLevel(level)


def _compared(model: nn.Module, exported: nn.Module, images: torch.Tensor) -> str | None:
    for size in _sizes(images.shape[2:]):
        batch = torch.randn(*images.shape[:2], *size, generator=torch.Generator().manual_seed(4))
        expected = model(batch)
        try:
            answer = exported(batch)
        except Exception as error:
            first = str(error).split("\n")[0]
            return (
                f"after export, it fails on the size {size} ({first[:200]}); do not branch on sizes in its forward "
                "pass: resize feature maps with operations that work for every size"
            )
        if answer.shape != expected.shape or not torch.allclose(answer, expected, rtol=1e-3, atol=1e-4):
            return f"after export, its output differs at the size {size}; do not branch on sizes in its forward pass"
    return None


def _sizes(sides: Sequence[int]) -> list[tuple[int, ...]]:
    return [tuple(side + more for side, more in zip(sides, steps, strict=False)) for steps in ODD]
