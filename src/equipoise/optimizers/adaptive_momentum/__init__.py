"""The optimizer family of Zhang et al. (equations 1 to 3): one optimizer, its rules and the paths that compute it."""

from equipoise.optimizers.adaptive_momentum.optimizer import AdaptiveMomentum

__all__ = ["AdaptiveMomentum"]
