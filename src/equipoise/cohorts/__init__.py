"""Make cohorts from files: readers, sources, splits and the search for leaks."""

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem

__all__ = ["Case", "Cohort", "Exclusion", "Image", "Problem"]
