"""Train one job on several processes, each with a share of every batch, with the results of one up to rounding.

Every process prepares the whole batch from the same random draws and passes its own rows through the model. The
answers for the other rows are exchanged, so that each process computes the loss of the whole batch, whatever the loss
is. Each process computes the gradient of its own rows, and the sum over processes is the gradient of the loss: all
take the same step. Batch normalisation uses the statistics of all rows. Only dropout differs from a single process.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from equipoise.models.normalization import NO_ACTIVATION, activated


@dataclass(frozen=True)
class Ranks:
    """The rank of this process, from 0, and the number of processes; each works on its own rows."""

    rank: int = 0
    count: int = 1

    @classmethod
    def here(cls) -> "Ranks":
        """Return the rank and count of torch.distributed in this process; rank 0 of 1 where it was not started."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls()

    @property
    def leads(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def rows(self, n: int) -> slice:
        """Return this process' share of n rows."""
        return slice(n * self.rank // self.count, n * (self.rank + 1) // self.count)

    def whole(self, part: Tensor, n: int) -> Tensor:
        """Return the answers (n, …) for all rows; only those for this process' own rows carry a gradient."""
        if self.count == 1:
            return part
        rows = self.rows(n)
        # A sum of zero-padded parts and not all_gather, because the shares of processes may differ by one row.
        every = part.new_zeros(n, *part.shape[1:])
        every[rows] = part.detach()
        distributed.all_reduce(every)
        return torch.cat([every[: rows.start], part, every[rows.stop :]])

    def answered(self, answer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        """Return the answers for images (n, …), shared among processes unless there are fewer images than processes."""
        n = len(images)
        return answer(images) if n < self.count else self.whole(answer(images[self.rows(n)]), n)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the sum of the gradients of all processes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.count == 1 or not gradients:
            return
        # One message for all parameters: otherwise hundreds of tensors would each cost a message's latency.
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        parts = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.reshape(gradient.shape))

    def gathered(self, own: list[Any]) -> list[Any]:
        """Return the values of all processes in order, where each holds those numbered rank, rank + count and so on."""
        if self.count == 1:
            return own
        parts: list[list[Any]] = [[] for _ in range(self.count)]
        distributed.all_gather_object(parts, own)
        return [parts[index % self.count][index // self.count] for index in range(sum(map(len, parts)))]

    def synchronise(self, model: nn.Module) -> nn.Module:
        """Return the model with batch normalisation over the rows of all processes."""
        if self.count == 1:
            return model
        if next(model.parameters()).is_cuda:
            converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
            return converted
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.forward = partial(_batch_norm, module)  # type: ignore[method-assign]
        return model


ALONE = Ranks()


class _SumOverProcesses(torch.autograd.Function):
    """Sum over processes; the gradient is the sum of the gradients that arrive in each process."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ARG004
        """Sum a tensor over all processes."""
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        """Sum its gradient over all processes."""
        total = gradient.clone()
        distributed.all_reduce(total)
        return total


def _batch_norm(norm: nn.modules.batchnorm._BatchNorm, x: Tensor, slope: float = NO_ACTIVATION) -> Tensor:
    """Normalise as `models.normalization` does, over all processes: torch has such a layer for GPUs only."""
    if not norm.training:
        statistics = (norm.running_mean, norm.running_var)
        plain = functional.batch_norm(x, *statistics, norm.weight, norm.bias, training=False, eps=norm.eps)
        return activated(plain, slope)
    # In float32 and in two passes, mean first: E[x²] − E[x]² would cancel where the mean is large.
    wide, axes, shape = x.float(), [0, *range(2, x.ndim)], [1, -1, *[1] * (x.ndim - 2)]
    count = torch.tensor([x.numel() / x.shape[1]])
    distributed.all_reduce(count)
    mean = _total(wide.sum(axes)) / count
    centred = wide - mean.reshape(shape)
    variance = _total(centred.square().sum(axes)) / count
    # torch normalises by the biased variance and keeps the unbiased one in its running statistics.
    _follow(norm, mean.detach(), variance.detach() * count / (count - 1))
    scaled = centred * torch.rsqrt(variance + norm.eps).reshape(shape)
    if norm.affine:
        scaled = scaled * norm.weight.reshape(shape) + norm.bias.reshape(shape)
    return activated(scaled.to(x.dtype), slope)


def _total(x: Tensor) -> Tensor:
    total: Tensor = _SumOverProcesses.apply(x)
    return total


def _follow(norm: nn.modules.batchnorm._BatchNorm, mean: Tensor, variance: Tensor) -> None:
    """Update the running statistics as torch does; without a momentum they are plain means over the batches."""
    if norm.running_mean is None or norm.running_var is None or norm.num_batches_tracked is None:
        return
    norm.num_batches_tracked += 1
    share = 1 / int(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance, share)
