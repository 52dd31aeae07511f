"""Train one job from its first epoch to its done.json, in the same way for every arm."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.training.loop.epoch", "equipoise.training.learner.learner")
