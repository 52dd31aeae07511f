"""Optimizers: the paper's adaptive-momentum family and its peers, all torch optimizers `cls(params, lr=...)`."""

from equipoise.optimizers.adaptive_momentum import AdaptiveMomentum, RateRangeWarning

__all__ = ["AdaptiveMomentum", "RateRangeWarning"]
