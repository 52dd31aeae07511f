"""Public contract suites: tell the author of a model, an optimizer or a cohort whether it behaves."""

from equipoise.testing.model import check_model

__all__ = ["check_model"]
