"""The protocol: the plan of a trial or a study as typed data, read from TOML."""

from equipoise.protocol.protocol import (
    FEWEST_SHARED,
    FIRST_LOOK,
    UNTUNED,
    Arm,
    CohortSection,
    EndpointsSection,
    Pretrained,
    Protocol,
    SplitSection,
    TrialSection,
    TuningSection,
)
from equipoise.protocol.search_space import Dimension, Space
from equipoise.protocol.sections import Named
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
    "Named",
    "Pretrained",
    "Protocol",
    "Space",
    "SplitSection",
    "TrainingSection",
    "TrialSection",
    "TuningSection",
]
