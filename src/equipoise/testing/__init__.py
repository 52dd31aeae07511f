"""Public contract suites: tell the author of a model, an optimizer or a cohort whether it behaves."""

from equipoise.testing.cohort import check_cohort
from equipoise.testing.model import check_model
from equipoise.testing.optimizer import check_optimizer

__all__ = ["check_cohort", "check_model", "check_optimizer"]
