"""The state of a training job."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.training.augmentation.mixup import Mixup
from equipoise.training.learner.distributed import ALONE, Ranks
from equipoise.training.learner.losses import Loss
from equipoise.training.learner.weight_average import EpochAverage, WeightAverage


@dataclass
class Learner:
    """The state of a training job, with its losses: of training, and of validation (`plain_loss`, no class weights).

    average: of the weights, moving or of the last epochs, evaluated in their place. frozen_norm_layers: normalisation
    layers whose weights are frozen and whose statistics stay as they are. ranks: the processes that share every batch.
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
    average: WeightAverage | EpochAverage | None = None
    frozen_norm_layers: tuple[nn.Module, ...] = ()
    ranks: Ranks = ALONE

    def start_training(self) -> None:
        """Put the model into training mode, except for frozen normalisation layers."""
        self.model.train()
        # Their statistics belong to the pretrained weights; in training mode they would drift to this cohort's.
        for module in self.frozen_norm_layers:
            module.eval()

    def logits(self, images: Tensor) -> Tensor:
        """Return the model's answer in float32, computed in the arm's precision."""
        return self.outputs(images)[0]

    def outputs(self, images: Tensor) -> list[Tensor]:
        """Return all outputs of the model in float32: with deep supervision several scales, full resolution first."""
        images = images.contiguous(memory_format=self.layout)
        with torch.autocast(self.device.type, self.precision, enabled=self.precision != torch.float32):
            outputs: Tensor | Sequence[Tensor] = self.model(images)
        return [part.float() for part in ((outputs,) if isinstance(outputs, Tensor) else outputs)]
