"""The command `audit`: its options, and the settings that they make."""

import argparse
from dataclasses import fields
from typing import TYPE_CHECKING

from equipoise.cli_joined import Joined
from equipoise.cli_parser import decimal

if TYPE_CHECKING:
    from equipoise.trials.audit_settings import AuditSettings


def settings_of(arguments: argparse.Namespace) -> "AuditSettings":
    """Return what the command line states: every option has the name of its setting."""
    from equipoise.trials.audit_settings import AuditSettings

    return AuditSettings(**{one.name: getattr(arguments, one.name) for one in fields(AuditSettings)})


def add_audit_options(audit: argparse.ArgumentParser) -> None:
    """Add the options of an audit: what the files are, what is compared, and what is allowed."""
    audit.add_argument("predictions", nargs="+", metavar="[ARM=]PATH", help=(
        "tables (CSV, Excel, Parquet), nnU-Net summary.json, MONAI or MedMNIST CSV, folders of masks; an arm named "
        "twice has several training runs"
    ))  # fmt: skip
    audit.add_argument("--out", default="audit", metavar="DIR", help="folder of the results (default: %(default)s)")
    _add_comparison(audit)
    _add_facts(audit)
    _add_permissions(audit)


def _names(text: str) -> list[str]:
    """Split a list of names at its commas."""
    return [name for name in text.split(",") if name]


def _add_comparison(audit: argparse.ArgumentParser) -> None:
    comparison = audit.add_argument_group("what is compared")
    comparison.add_argument(
        "--primary",
        default="auc",
        metavar="ENDPOINT",
        help="the endpoint of the verdict (default: auc; for masks, the mean Dice)",
    )
    comparison.add_argument(
        "--secondary", type=_names, metavar="NAMES", help="further endpoints (default: what fits, and your own metrics)"
    )
    comparison.add_argument("--margin", type=decimal, metavar="X", help="the smallest difference that matters")
    comparison.add_argument(
        "--margins",
        action=Joined,
        metavar="NAME=X,…",
        help="margins of secondary endpoints, tested in this order after the primary",
    )
    comparison.add_argument("--control", metavar="ARM", help="compare every arm only with this one")
    comparison.add_argument("--positive", metavar="CLASS", help="the positive class (default: the second of two)")
    comparison.add_argument(
        "--threshold", type=decimal, metavar="X", help="cases with this score or more are positive: gives sensitivity, "
                                                     "specificity, PPV and NPV"
    )  # fmt: skip
    comparison.add_argument(
        "--growing", type=int, metavar="N", help="for an audit that is repeated as patients are added: intervals "
                                                 "valid at every look, narrowest at N patients"
    )  # fmt: skip
    comparison.add_argument(
        "--subgroup",
        dest="subgroups",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a column that defines subgroups of cases",
    )


def _add_facts(audit: argparse.ArgumentParser) -> None:
    files = audit.add_argument_group("facts that are not in the files")
    files.add_argument("--columns", action=Joined, metavar="ROLE=NAME,…", help=(
        "the role of each column: case=StudyID,truth=y_true, for one file alone V1.case=ID,truth.truth=Diagnosis; "
        "arms=a+b for a column per arm; sheet=NAME of an Excel file"
    ))  # fmt: skip
    files.add_argument("--scores", action=Joined, metavar="SCALE", help=(
        "what columns of scores hold: probabilities, percent or logits; V1=percent,V2=logits for one arm alone; "
        "percent also for metrics that are shares, as Dice"
    ))  # fmt: skip
    files.add_argument(
        "--ignore", type=int, action="append", default=[], metavar="LABEL", help="a label of the true masks for "
                                                                                 "unannotated voxels, which are left "
                                                                                 "out for every arm"
    )  # fmt: skip
    files.add_argument(
        "--truth", metavar="PATH", help="folder of true masks, MedMNIST .npz, or table of case and truth"
    )
    files.add_argument("--images", metavar="FOLDER", help="images named by case, for the example cases of the report")
    files.add_argument("--patients", metavar="FILE", help="table of case and patient")
    files.add_argument("--regions", metavar="NAMES", help=(
        "name=1+2 for labels, or names in the order of the channels; of tables, the structures in the names of columns"
    ))  # fmt: skip
    files.add_argument("--classes", type=_names, default=(), metavar="NAMES", help="names in the order of the scores")
    files.add_argument(
        "--metric",
        metavar="NAME",
        help="what unnamed values measure: those of a MONAI file, or of columns headed by structures",
    )
    files.add_argument(
        "--failure-value", dest="failure_values", action="append", default=[], metavar="METRIC=VALUE",
        help="the value that a failed case gets, for a metric without a worst value, such as hd95=60"
    )  # fmt: skip
    for side in ("higher", "lower"):
        text = f"your own metrics (a,b or repeated), where {side} is better"
        files.add_argument(f"--{side}-is-better", action="append", default=[], metavar="METRIC", help=text)
    files.add_argument(
        "--ids", default="pseudonyms", choices=["pseudonyms", "plain"],
        help="how the output names cases and patients (default: %(default)s)",
    )  # fmt: skip
    files.add_argument(
        "--training",
        metavar="FILE",
        help="table of training cases or patients; the audit refuses test cases among them",
    )


def _add_permissions(audit: argparse.ArgumentParser) -> None:
    allowed = audit.add_argument_group("permissions (the report names each one)")
    allowed.add_argument("--cases-are-patients", action="store_true", help="every case is a different patient")
    allowed.add_argument(
        "--common-cases", action="store_true", help="leave out cases without a prediction of every arm"
    )
    allowed.add_argument("--allow-trained", action="store_true", help="continue although test cases were trained on")
    allowed.add_argument("--below-chance", action="store_true", help="confirm scores or labels that look exchanged")
