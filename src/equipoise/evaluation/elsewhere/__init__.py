"""Predictions made elsewhere: tables, nnU-Net, MONAI and MedMNIST files, and masks, read without guessing silently.

`collect` recognises each path by its content; what it had to assume is a note, which the report shows.
"""

from equipoise.evaluation.elsewhere.arms import split_arm
from equipoise.evaluation.elsewhere.collecting import Collected, Source, collect, collect_table
from equipoise.evaluation.elsewhere.stated import Stated, parse_regions, read_column

__all__ = ["Collected", "Source", "Stated", "collect", "collect_table", "parse_regions", "read_column", "split_arm"]
