"""Public contract suites: tell the author of a model, an optimizer or a cohort whether it behaves."""
