"""Gradient checkpointing: compute maps within a network's blocks again for the gradient, in place of keeping them.

The forward pass of a block runs a second time when its gradient is due, with the same random numbers, so the result has
the same bits; memory then holds one block's inner maps and not those of all. (Chen et al. 2016, arXiv 1604.06174.)
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from equipoise.errors import ProtocolError

_Norm = nn.modules.batchnorm._BatchNorm
_Dropout = nn.modules.dropout._DropoutNd


def recompute_blocks(model: nn.Module, name: str) -> None:
    """Make every block that a model names in `blocks()` compute its inner maps again for the gradient.

    Raises ProtocolError for a model without that method.
    """
    blocks = getattr(model, "blocks", None)
    if not callable(blocks):
        raise ProtocolError(
            f"training.gradient_checkpointing needs to know the blocks of a model, and {name!r} has no method "
            "blocks() that returns a list of its modules; add it, or leave the setting out"
        )
    for block in blocks():
        # A partial and not a closure: a copy of the model then calls its own block.
        block.forward = partial(_recomputed, block)


def _recomputed(block: nn.Module, *inputs: Any, **settings: Any) -> Any:
    """Call a block of which only inputs and answer are kept."""
    forward = partial(type(block).forward, block)
    if not torch.is_grad_enabled():
        return forward(*inputs, **settings)
    return checkpoint(
        forward,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=any(isinstance(module, _Dropout) for module in block.modules()),
        context_fn=partial(_contexts, block),
        **settings,
    )


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Return what surrounds the first pass and the second one."""
    return nullcontext(), _statistics_kept(block)


@contextmanager
def _statistics_kept(block: nn.Module) -> Iterator[None]:
    """Restore the running statistics of normalisation, which the second pass would move a second time."""
    norms = [module for module in block.modules() if isinstance(module, _Norm)]
    before = [[buffer.clone() for buffer in norm.buffers(recurse=False)] for norm in norms]
    try:
        yield
    finally:
        with torch.no_grad():
            for norm, values in zip(norms, before, strict=True):
                for buffer, value in zip(norm.buffers(recurse=False), values, strict=True):
                    buffer.copy_(value)
