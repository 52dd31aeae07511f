"""The settings of an arm that nnU-Net trains: `model = {name = "nnunet", ...}`."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, model_validator

from equipoise.protocol.sections import Positive, Section

NNUNET = "nnunet"
"""The name of the model that is no network of ours and is trained by nnU-Net's own command."""
SHARES = 20
"""Epochs into which a budget of minutes is divided: each ends with a validation and a checkpoint."""


class NNUNetSection(Section):
    """What nnU-Net leaves to its user, and the budget, which the trial sets.

    configuration: of nnU-Net's plan; None means "3d_fullres" for volumes and "2d" for images. planner, trainer: classes
    of nnU-Net by name; the trainer may be the user's own as `module:Class`, beside the protocol.
    epochs: nnU-Net's epochs, None for training.epochs. steps_per_epoch: updates in one of them. minutes: a budget of
    processor time (on a graphics card of the clock) in place of epochs.
    """

    configuration: Annotated[str, Field(pattern=r"^[\w.-]+$")] | None = None
    planner: Annotated[str, Field(pattern=r"^\w+$")] = "ExperimentPlanner"
    trainer: Annotated[str, Field(pattern=r"^[\w.]+(:\w+)?$")] = "nnUNetTrainer"
    epochs: Positive | None = None
    steps_per_epoch: Positive = 250
    minutes: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        if self.minutes is not None and (self.epochs is not None or "steps_per_epoch" in self.model_fields_set):
            raise ValueError("minutes is one budget, epochs and steps_per_epoch are another; set only one of them")
        return self

    def epochs_of(self, common: int) -> int:
        """Return the number of epochs, as far as the plan knows it; common: of the arms that are networks."""
        return SHARES if self.minutes is not None else self.epochs or common


def is_nnunet(name: str) -> bool:
    """Return whether a model's name means nnU-Net; as of built-in networks, case, hyphens and underscores do not count.

    >>> is_nnunet("nnU-Net"), is_nnunet("unet")
    (True, False)
    """
    return name.lower().replace("-", "").replace("_", "") == NNUNET


def nnunet_settings(settings: Mapping[str, Any]) -> NNUNetSection:
    """Read the settings of `model = {name = "nnunet", ...}`; raises ValueError (one sentence) for a wrong one."""
    minutes = settings.get("minutes")
    values = {**settings, **({"minutes": float(minutes)} if type(minutes) is int else {})}
    try:
        return NNUNetSection.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "extra_forbidden":
            known = ", ".join(NNUNetSection.model_fields)
            raise ValueError(f"nnU-Net has no setting {where!r} here; allowed: {known}") from error
        text = str(first["msg"]).removeprefix("Value error, ")
        raise ValueError(f"nnunet: {where + ': ' if where else ''}{text[:1].lower()}{text[1:]}") from error
