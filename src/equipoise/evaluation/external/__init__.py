"""Predictions made elsewhere: tables, nnU-Net, MONAI and MedMNIST files, and masks, read without guessing silently.

`collect` recognises each path by its content; what it had to assume is a note, which the report shows.
"""

from equipoise.evaluation.external.arm_names import split_arm
from equipoise.evaluation.external.audit_options import Stated, parse_regions, read_column
from equipoise.evaluation.external.collection import Collected, Source, collect, collect_table

__all__ = ["Collected", "Source", "Stated", "collect", "collect_table", "parse_regions", "read_column", "split_arm"]
