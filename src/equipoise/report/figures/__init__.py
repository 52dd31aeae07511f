"""The figures of a report: one file per family of figures; every figure includes its numbers as a table."""
