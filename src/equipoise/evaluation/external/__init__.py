"""Read predictions of other tools: tables, files of nnU-Net, MONAI and MedMNIST, and masks.

`collect` recognises each path by its content. Every assumption that it makes becomes a note, which the report shows.
"""

import warnings
from typing import Any

from equipoise.evaluation.external.arm_names import split_arm
from equipoise.evaluation.external.audit_options import AuditOptions, parse_regions
from equipoise.evaluation.external.collection import Collected, Source, collect, collect_table
from equipoise.evaluation.external.lists import PATIENTS, ListFile, read_list, training_list
from equipoise.evaluation.external.roles import metric_named, parse_columns
from equipoise.evaluation.external.scopes import scores_text

__all__ = [
    "PATIENTS",
    "AuditOptions",
    "Collected",
    "ListFile",
    "Source",
    "collect",
    "collect_table",
    "metric_named",
    "parse_columns",
    "parse_regions",
    "read_list",
    "scores_text",
    "split_arm",
    "training_list",
]


def __getattr__(name: str) -> Any:
    """Return a class by its name of version 0.1, with a warning; goes with version 0.3."""
    if name == "Stated":
        message = "equipoise.evaluation.external.Stated is now called AuditOptions, and the old name goes in 0.3"
        warnings.warn(message, DeprecationWarning, stacklevel=2)
        return AuditOptions
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
