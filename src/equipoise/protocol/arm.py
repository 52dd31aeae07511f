"""The protocol's table of an arm: a network with an optimizer, nnU-Net, or an ensemble of other arms."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from equipoise.protocol.nnunet_section import NNUNetSection, is_nnunet, nnunet_settings
from equipoise.protocol.search_space import Space
from equipoise.protocol.sections import Named, Positive, Section, tuples
from equipoise.protocol.training_section import TrainingSection
from equipoise.tasks import SEGMENTATION

ENSEMBLE = "ensemble"
"""The name that records give to the model of an arm that is made of others."""


class Pretrained(Section):
    """A safetensors file of an arm's initial weights; a bare string is a file that fits without renaming.

    file: a safetensors file, relative to the protocol.
    rename: prefixes of names in the file → prefixes in the model. keep: prefixes of names that stay random.
    """

    file: str
    rename: dict[str, str] = Field(default_factory=dict)
    keep: tuple[str, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _from_string(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    _arrays = tuples("keep")


class Arm(Section):
    """One treatment: a model, an optimizer and their settings.

    name: of the arm, and of its folder in the run. model: a network with its settings. optimizer: with its settings.
    pretrained: the initial weights. freeze: patterns of names of parameters that are not trained, such as "encoder.*".
    space: the settings that tuning may replace (empty: the default space of a built-in optimizer).
    draws: a number of draws that differs from that of other arms; refused unless tuning.unequal is set.
    An arm of nnU-Net has nothing but its model's settings: the rest is nnU-Net's own choice.
    ensemble: names of arms whose finished runs this arm averages, in place of a model. members: runs of each of them in
    one ensemble, of seeds that no other ensemble of this arm has.
    """

    # The name becomes a folder of the run, hence the pattern.
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][\w.-]*$")]
    model: Named
    optimizer: Named = Named(name="adam")
    pretrained: Pretrained | None = None
    freeze: tuple[str, ...] = ()
    space: Space = Space()
    draws: Positive | None = None
    ensemble: tuple[str, ...] = ()
    members: Positive = 1

    _arrays = tuples("freeze", "ensemble")

    @model_validator(mode="before")
    @classmethod
    def _named_as_ensemble(cls, value: Any) -> Any:
        if not isinstance(value, dict) or not value.get("ensemble"):
            return value
        own = sorted({"optimizer", "pretrained", "freeze", "space", "draws"} & set(value))
        if value.get("model", ENSEMBLE) not in (ENSEMBLE, {"name": ENSEMBLE}):
            own.insert(0, "model")
        if own:
            raise ValueError(f"an ensemble takes {own[0]} from its members; leave {own[0]} out")
        return {**value, "model": {"name": ENSEMBLE}}

    @model_validator(mode="after")
    def _nothing_beside_nnunet(self) -> Self:
        if not is_nnunet(self.model.name):
            return self
        own = {"optimizer", "pretrained", "freeze", "space", "draws"} & self.model_fields_set
        if own:
            raise ValueError(f"nnU-Net chooses {min(own)} of {self.name!r} itself; leave {min(own)} out")
        nnunet_settings(self.model.settings)
        return self

    @model_serializer(mode="wrap")
    def _without_what_it_has_not(self, plan: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Leave out what an arm of its kind has not: no record names an optimizer of nnU-Net, and hashes stay."""
        values: dict[str, Any] = plan(self)
        if is_nnunet(self.model.name):
            return {key: values[key] for key in ("name", "model")}
        if self.ensemble:
            return {key: values[key] for key in ("name", "model", "ensemble", "members")}
        return {key: value for key, value in values.items() if key not in ("ensemble", "members")}

    @property
    def nnunet(self) -> NNUNetSection | None:
        """The settings of nnU-Net, which then trains this arm; None for a network that is trained here."""
        return nnunet_settings(self.model.settings) if is_nnunet(self.model.name) else None


def nnunet_complaint(arm: Arm, task: str, training: TrainingSection, preprocessing: Mapping[str, Any]) -> str | None:
    """Return why the trial is none for nnU-Net; None where it is, and for an arm of another kind."""
    if arm.nnunet is None:
        return None
    if task != SEGMENTATION.name:
        return f"nnU-Net can only segment, and the task is {task}; leave the arm out"
    if training.targets != "classes":
        return 'nnU-Net learns classes here; set training.targets = "classes"'
    if preprocessing.get("smooth_labels"):
        return "nnU-Net trains on unsmoothed masks; leave out preprocessing.smooth_labels"
    return None
