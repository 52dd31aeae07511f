"""The pictures of a report: each family of figures is one file, and each figure carries its numbers as a table."""
