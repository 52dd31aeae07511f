"""Optimizers: the paper's adaptive-momentum family and its peers, all torch optimizers `cls(params, lr=...)`.

`__all__` lists optimizers only, because a protocol may choose any name in it.
"""

from typing import TYPE_CHECKING

from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, RMSprop

from equipoise.optimizers.adaptive_momentum.optimizer import AdaptiveMomentum
from equipoise.optimizers.adaptive_momentum.optimizer import RateRangeWarning as RateRangeWarning
from equipoise.optimizers.lion import Lion
from equipoise.optimizers.momentum import Momentum
from equipoise.optimizers.muon import Muon
from equipoise.optimizers.requirements import eval_mode as eval_mode
from equipoise.optimizers.requirements import moves_all as moves_all
from equipoise.optimizers.requirements import needs_batchnorm_recalibration as needs_batchnorm_recalibration
from equipoise.optimizers.requirements import needs_closure as needs_closure
from equipoise.optimizers.requirements import train_mode as train_mode
from equipoise.optimizers.sam import SAM
from equipoise.optimizers.schedules import after_validation as after_validation
from equipoise.optimizers.schedules import schedule as schedule

if TYPE_CHECKING:
    from schedulefree import AdamWScheduleFree as ScheduleFreeAdamW

    from equipoise.optimizers.prodigy import Prodigy

__all__ = [
    "SAM",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "AdaptiveMomentum",
    "Lion",
    "Momentum",
    "Muon",
    "NAdam",
    "Prodigy",
    "RMSprop",
    "ScheduleFreeAdamW",
]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> type:
        """Import a third-party package when one of its optimizers is first used."""
        if name == "Prodigy":
            from equipoise.optimizers.prodigy import Prodigy

            return Prodigy
        if name == "ScheduleFreeAdamW":
            from schedulefree import AdamWScheduleFree

            return AdamWScheduleFree
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
