"""Detection: findings in whole scans, evaluated by candidates with scores."""

from types import MappingProxyType

from equipoise.tasks.segmentation import MASK_LOSSES, mask_structures
from equipoise.tasks.task import FINDINGS, CohortLike, SamplesLike, Task

NETWORK_CLASSES = ("background", "finding")
"""Classes of a detector's model, whatever the cohort's names; irrelevant findings are background."""


def finding_classes(_cohort: CohortLike) -> tuple[str, ...]:
    """Return `NETWORK_CLASSES`, for every cohort."""
    return NETWORK_CLASSES


def lacking_findings(samples: SamplesLike) -> str:
    """Return what all cases lack if none has a relevant finding, from which a detector could learn; else empty."""
    return (
        "" if any(findings.relevant.any() for findings in samples.findings) else "has a finding to learn or choose by"
    )


# A detector's network is a segmenter: its map of probabilities is read for candidates.
DETECTION = Task(
    name="detection",
    truth=FINDINGS,
    network="segmentation",
    preparation="equipoise.training.preparation.detection:PREPARATION",
    training="equipoise.training.tasks.detection:TRAINING",
    losses=MASK_LOSSES,
    targets=("classes", "centres"),
    defaults=MappingProxyType(
        {
            "endpoints": {"primary": "cpm", "secondary": ("average_precision",)},
            "training": {"loss": "dice-cross-entropy"},
        }
    ),
    structures=mask_structures,
    network_classes=finding_classes,
    lacking=lacking_findings,
    endpoint_names=("cpm", "average_precision"),
    columns=("findings",),
    unplannable="how findings and false positives vary between patients is unknown before a detector is trained",
    whole_scans=True,
)
