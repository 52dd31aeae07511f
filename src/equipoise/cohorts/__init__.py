"""Files → cohorts: the readers, the sources, the split and the search for leaks."""

from equipoise.cohorts.cohort import Case, Cohort, Exclusion, Image, Problem

__all__ = ["Case", "Cohort", "Exclusion", "Image", "Problem"]
