"""Several trained networks as one: it answers with logits whose probabilities are the mean of theirs."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

SMALLEST = torch.finfo(torch.float32).tiny


class Ensemble(nn.Module):
    """The mean of the probabilities of its members, as logits, so that it stands wherever one network stood.

    members: networks with the same outputs. overlapping: whether each output is a probability of its own (sigmoid), or
    all are classes (softmax). layouts: the memory format in which each member works; None for that of the input.
    """

    def __init__(
        self,
        members: Sequence[nn.Module],
        overlapping: bool = False,
        layouts: Sequence[torch.memory_format] | None = None,
    ) -> None:
        super().__init__()
        self.members, self.overlapping = nn.ModuleList(members), overlapping
        self.layouts = None if layouts is None else tuple(layouts)

    @property
    def smallest_side(self) -> int | None:
        """The smallest side of an image that every member takes; None where none states one."""
        sides = [side for member in self.members if (side := getattr(member, "smallest_side", None)) is not None]
        return max(sides, default=None)

    def over(self, wrap: Callable[[nn.Module], nn.Module]) -> "Ensemble":
        """Return the ensemble of the wrapped members."""
        return Ensemble([wrap(member) for member in self.members], self.overlapping, self.layouts)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (N, outputs, …) of the mean probabilities, in float32."""
        total: Tensor | None = None
        for number, member in enumerate(self.members):
            given = x if self.layouts is None else x.contiguous(memory_format=self.layouts[number])
            answer = member(given)
            # With deep supervision several scales, full resolution first.
            logits: Tensor = (answer if isinstance(answer, Tensor) else answer[0]).float().contiguous()
            probability = logits.sigmoid() if self.overlapping else logits.softmax(1)
            total = probability if total is None else total + probability
        if total is None:
            raise ValueError("an ensemble needs members")
        mean = (total / len(self.members)).clamp(SMALLEST, 1.0)
        if not self.overlapping:
            return mean.log()
        return mean.log() - (1 - mean).clamp_min(SMALLEST).log()
