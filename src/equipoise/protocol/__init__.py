"""The protocol: the plan of a trial or a study as typed data, read from TOML."""

from equipoise.protocol.arm import Arm, Pretrained
from equipoise.protocol.nnunet_section import NNUNetSection
from equipoise.protocol.protocol import (
    FEWEST_SHARED,
    FIRST_LOOK,
    UNTUNED,
    CohortSection,
    EndpointsSection,
    Protocol,
    TuningSection,
)
from equipoise.protocol.search_space import Dimension, Space
from equipoise.protocol.sections import Named, TrialSection
from equipoise.protocol.split_section import SplitSection
from equipoise.protocol.training_section import DiceSection, InferenceSection, TrainingSection

__all__ = [
    "FEWEST_SHARED",
    "FIRST_LOOK",
    "UNTUNED",
    "Arm",
    "CohortSection",
    "DiceSection",
    "Dimension",
    "EndpointsSection",
    "InferenceSection",
    "NNUNetSection",
    "Named",
    "Pretrained",
    "Protocol",
    "Space",
    "SplitSection",
    "TrainingSection",
    "TrialSection",
    "TuningSection",
]
