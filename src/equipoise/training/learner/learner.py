"""What changes while a job trains."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.training.augmentation.mixup import Mixup
from equipoise.training.learner.distributed import ALONE, Ranks
from equipoise.training.learner.losses import Loss
from equipoise.training.learner.weight_average import WeightAverage


@dataclass
class Learner:
    """What changes while a job trains, with its losses: of training, and of validation (no class weights).

    average: the moving average of the weights that is judged in their place. resting: frozen normalisation layers,
    whose statistics stay as they are. ranks: the processes that share every batch.
    """

    model: nn.Module
    optimizer: Optimizer
    loss: Loss
    plain_loss: Loss
    schedule: torch.optim.lr_scheduler.LRScheduler
    device: torch.device
    precision: torch.dtype
    clip_norm: float | None
    layout: torch.memory_format = torch.contiguous_format
    mixup: Mixup | None = None
    average: WeightAverage | None = None
    resting: tuple[nn.Module, ...] = ()
    ranks: Ranks = ALONE

    def start_training(self) -> None:
        """Put the model into training mode, but for what is frozen."""
        self.model.train()
        for module in self.resting:
            module.eval()

    def logits(self, images: Tensor) -> Tensor:
        """The model's answer in float32, computed in the arm's precision."""
        return self.outputs(images)[0]

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Everything the model answers, in float32: with deep supervision several scales, full resolution first."""
        images = images.contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            outputs: Tensor | Sequence[Tensor] = self.model(images)
        return [part.float() for part in ((outputs,) if isinstance(outputs, Tensor) else outputs)]
