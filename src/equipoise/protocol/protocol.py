"""The protocol of a trial as typed data: TOML in, one-sentence errors, a canonical hash."""

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import tomlkit
from pydantic import (
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)

from equipoise.errors import ProtocolError
from equipoise.lookup import nearest
from equipoise.protocol.arm import Arm, nnunet_complaint
from equipoise.protocol.ensembles import ensemble_complaint, seeds_of
from equipoise.protocol.look_alikes import skeleton
from equipoise.protocol.search_space import Space
from equipoise.protocol.sections import OpenSection, Positive, Section, TrialSection, one_of, tuples
from equipoise.protocol.split_section import STATEMENTS, SplitSection
from equipoise.protocol.toml import read_text, tables, validated
from equipoise.protocol.training_section import InferenceSection, TrainingSection
from equipoise.tasks import CLASSIFICATION, TASKS, task_named

FIRST_LOOK = 3
"""Fewest seeds at a first look: before the third, the looks together err too often."""
FEWEST_SHARED = 5
"""Fewest seeds with which the analysis of shared seeds keeps its error."""


class CohortSection(OpenSection):
    """The source of the cases; further keys belong to the source.

    source: the name of a source, or `module:function` of the user's own. path: where the data lie, relative to the
    protocol. task: the name of a built-in task, or `module:attribute` of the user's own. ids: whether outputs show the
    names of cases and patients as they are, or pseudonyms.
    """

    source: str
    path: str | None = None
    task: str = CLASSIFICATION.name
    ids: Literal["pseudonyms", "plain"] = "pseudonyms"

    @field_validator("task")
    @classmethod
    def _known(cls, value: str) -> str:
        if ":" in value:
            return value
        return one_of(value, tuple(TASKS), "your own as 'module:attribute'")


UNTUNED = "-untuned"
"""Suffix of the name of an arm's untuned twin, which is trained with the stated settings."""


class TuningSection(Section):
    """Tuning: equal draws, epochs and selection for every arm, on training and validation data alone.

    draws: settings tried for each arm, fixed by the seed before training. seed: of the draws.
    epochs, select: of a draw; by default those of [training]. unequal: arms may have different numbers of draws, which
    the report states.
    """

    draws: Positive
    seed: Annotated[int, Field(ge=0)] = 0
    epochs: Positive | None = None
    select: Literal["loss", "primary"] | None = None
    unequal: bool = False


class EndpointsSection(Section):
    """The endpoints, and the smallest difference that matters.

    primary: the one endpoint of the verdict. secondary: reported beside it. margin: the smallest difference in the
    primary endpoint that matters, in its unit. family: compares all pairs of arms, or every arm with the one named.
    alpha: probability of any false claim in the whole family.
    subgroups: attributes of the cohort's cases. looks: numbers of seeds at which the result is analysed; the last is
    the number of all seeds, and the type-I error is shared between the looks. margins: of secondary endpoints, which
    are judged in this order behind the primary one.
    """

    primary: str = "auc"
    secondary: tuple[str, ...] = ("accuracy", "brier", "average_precision")
    margin: Annotated[float, Field(gt=0)] = 0.03
    family: str = "all"
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
    subgroups: tuple[str, ...] = ()
    looks: tuple[int, ...] = ()
    margins: dict[str, Annotated[float, Field(gt=0, allow_inf_nan=False)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _margins_of_secondary_endpoints(self) -> Self:
        for name in self.margins:
            if name == self.primary:
                raise ValueError(
                    f"margins.{name}: the margin of the primary endpoint is endpoints.margin; move it there"
                )
            if name not in self.secondary:
                raise ValueError(f"margins.{name}: it is not a secondary endpoint; {nearest(name, self.secondary)}")
        return self

    @model_serializer(mode="wrap")
    def _without_what_is_not_stated(self, plan: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A plan without such margins keeps the form, and the hash, that it had before they could be stated."""
        values: dict[str, Any] = plan(self)
        return values if self.margins else {key: value for key, value in values.items() if key != "margins"}

    @property
    def own(self) -> tuple[str, ...]:
        """The user's own endpoints, named as `module:attribute`."""
        return tuple(name for name in (self.primary, *self.secondary) if ":" in name)

    _arrays = tuples("secondary", "subgroups", "looks")


def _folder_of(info: ValidationInfo) -> Path | None:
    """Return the folder of the protocol that is being read, where the user's own task is."""
    # Through pydantic's context, because validators run before `_folder` can be set on the protocol.
    folder: Path | None = (info.context or {}).get("folder")
    return folder


class Protocol(Section):
    """The plan of a trial; `Protocol.load(path)` reads one, `Protocol.parse(text)` takes TOML text."""

    trial: TrialSection = TrialSection()
    cohort: CohortSection
    split: SplitSection = SplitSection()
    preprocessing: dict[str, Any] = Field(default_factory=lambda: {"scale": "unit"})
    augmentation: dict[str, Any] = Field(default_factory=dict)
    training: TrainingSection = TrainingSection()
    inference: InferenceSection = InferenceSection()
    arms: Annotated[tuple[Arm, ...], Field(min_length=1)]
    tuning: TuningSection | None = None
    endpoints: EndpointsSection = EndpointsSection()
    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _text: str = PrivateAttr(default="")
    _file: str = PrivateAttr(default="")

    _arrays = tuples("arms")

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_task(cls, value: Any, info: ValidationInfo) -> Any:
        """Fill in the endpoints and the loss of the cohort's task where the protocol does not name them."""
        if not isinstance(value, dict):
            return value
        # Before validation and key by key: afterwards a default could not be told from a value that the user wrote, and
        # the hash of the protocol must cover the values that are used.
        cohort = value.get("cohort")
        name = cohort.get("task") if isinstance(cohort, dict) else getattr(cohort, "task", None)
        known = isinstance(name, str) and (name in TASKS or ":" in name)  # any other name is refused as a value
        task = task_named(str(name), _folder_of(info)) if known else CLASSIFICATION
        for section, defaults in task.defaults.items():
            given = value.get(section, {})
            if isinstance(given, dict):
                value = {**value, section: {**defaults, **given}}
        return value

    @model_validator(mode="after")
    def _training_fits_the_task(self, info: ValidationInfo) -> Self:
        # Here and not in the section, which does not know the cohort's task.
        complaint = self.training.complaint(task_named(self.cohort.task, _folder_of(info)))
        if complaint is not None:
            raise ValueError(complaint)
        if self.training.targets == "centres" and self.preprocessing.get("smooth_labels"):
            raise ValueError('preprocessing.smooth_labels smooths masks, and targets = "centres" uses none; remove it')
        return self

    @model_validator(mode="after")
    def _mirrored_as_trained(self) -> Self:
        object.__setattr__(self, "inference", self.inference.mirrored_as(self.augmentation.get("flip")))
        return self

    @model_validator(mode="after")
    def _arms_have_names_of_their_own(self) -> Self:
        names = [arm.name for arm in self.arms]
        repeated = {name for name in names if names.count(name) > 1}
        if repeated:
            raise ValueError(f"arms: the name {min(repeated)!r} is used twice; give every arm its own name")
        shown: dict[str, str] = {}
        for name in names:
            other = shown.setdefault(skeleton(name), name)
            if other != name:
                raise ValueError(
                    f"arms: {other!a} and {name!a} look alike; give the arms names that readers can tell apart"
                )
        if self.endpoints.family not in ("all", *names):
            choices = nearest(self.endpoints.family, ["all", *names])
            raise ValueError(f"endpoints.family: {self.endpoints.family!r} is not an arm; {choices}")
        return self

    @model_validator(mode="after")
    def _looks_that_keep_the_error(self) -> Self:
        # Only the designs whose error was simulated are offered: two looks, from three seeds on, with patients fixed.
        looks, seeds = self.endpoints.looks, len(self.training.seeds)
        if not looks:
            return self
        if len(looks) != 2 or not FIRST_LOOK <= looks[0] < looks[1]:
            raise ValueError(
                f"endpoints.looks = {list(looks)} is not allowed: only two looks, the first at {FIRST_LOOK} seeds or "
                "later, keep the error rate; use [3, 5] or [5, 10]"
            )
        if looks[1] != seeds:
            raise ValueError(
                f"endpoints.looks = {list(looks)} is not allowed: the last look must use all seeds, and "
                f"training.seeds names {seeds}; name {looks[1]} seeds"
            )
        if self.split.scheme == "kfold":
            raise ValueError("endpoints.looks: looks in cross-validation are not supported; leave looks out")
        return self

    @model_validator(mode="after")
    def _seeds_that_are_really_shared(self) -> Self:
        if not self.training.shared_seeds:
            return self
        if len(self.training.seeds) < FEWEST_SHARED:
            raise ValueError(
                f"training.shared_seeds needs at least {FEWEST_SHARED} seeds to keep the error rate; training.seeds "
                f"names {len(self.training.seeds)}"
            )
        if self.endpoints.looks:
            raise ValueError("training.shared_seeds and endpoints.looks cannot be combined; choose one of them")
        # The paired analysis needs equal initial weights in all arms. Only one architecture gives a seed that meaning.
        start = (self.arms[0].model, self.arms[0].pretrained)
        other = next((arm for arm in self.arms if (arm.model, arm.pretrained) != start), None)
        tuned = next((arm for arm in self.arms if arm.space.model), None)
        if tuned is not None:
            raise ValueError(
                f"training.shared_seeds: tuning may change the model of {tuned.name!r}, so arms would not start with "
                "equal weights; tune only the optimizer, or share no seeds"
            )
        if other is not None:
            raise ValueError(
                f"training.shared_seeds: {self.arms[0].name!r} and {other.name!r} have different models, which cannot "
                "start from the same weights; share seeds only between arms of one model"
            )
        return self

    @model_validator(mode="after")
    def _arms_of_other_kinds(self) -> Self:
        for arm in self.arms:
            complaint = nnunet_complaint(arm, self.cohort.task, self.training, self.preprocessing)
            complaint = complaint or ensemble_complaint(arm, self.arms, self.training.seeds, self.cohort.task)
            if complaint is None and (arm.nnunet is not None or arm.ensemble):
                complaint = self._not_studied_with("nnU-Net" if arm.nnunet is not None else "an ensemble")
            if complaint is not None:
                raise ValueError(f"arms: {arm.name!r}: {complaint}")
        return self

    def _not_studied_with(self, kind: str) -> str | None:
        """Return which part of the plan does not go with an arm that is no network; None where all do."""
        if self.tuning is not None:
            return f"{kind} has no settings to tune, and [tuning] tunes every arm; leave out one of them"
        if self.training.shared_seeds:
            return f"{kind} cannot start from weights that it shares with other arms; leave out training.shared_seeds"
        if self.endpoints.looks and kind != "nnU-Net":
            return f"{kind} shares runs with other arms, which looks do not support; leave out endpoints.looks"
        return None

    def runs(self) -> list[tuple[Arm, int]]:
        """Return every arm with a seed of a run of a fold, seed by seed over all arms, untuned twins included."""
        arms = (*self.arms, *self.untuned())
        seeds = self.training.seeds
        return [(arm, seed) for seed in seeds for arm in arms if seed in seeds_of(arm, seeds)]

    @model_validator(mode="after")
    def _equal_draws(self) -> Self:
        names = {arm.name for arm in self.arms}
        for arm in self.arms:
            if self.tuning is None and (arm.draws is not None or arm.space.dimensions()):
                raise ValueError(f"arms: {arm.name!r} is to be tuned, but [tuning] is missing; add it with draws")
            if self.tuning is not None and arm.name + UNTUNED in names:
                raise ValueError(
                    f"arms: {arm.name + UNTUNED!r} is reserved for the untuned {arm.name!r}; choose another name"
                )
            if self.tuning is not None and not self.tuning.unequal and arm.draws not in (None, self.tuning.draws):
                raise ValueError(
                    f"arms: {arm.name!r} asks for {arm.draws} draws and the others get {self.tuning.draws}; give all "
                    "the same, or set tuning.unequal = true and the report says so"
                )
        return self

    def untuned(self) -> tuple[Arm, ...]:
        """Return every arm's untuned twin, with the stated settings and its own name; none without tuning."""
        if self.tuning is None:
            return ()
        as_stated = {"space": Space(), "draws": None}
        return tuple(arm.model_copy(update={"name": arm.name + UNTUNED, **as_stated}) for arm in self.arms)

    @property
    def folder(self) -> Path:
        """The folder of the protocol; its paths are relative to this folder."""
        return self._folder

    @property
    def file(self) -> str:
        """The protocol's file as it was given, for commands in messages; empty for a protocol without one."""
        return self._file

    @property
    def text(self) -> str:
        """The protocol's TOML text as given, or generated for a protocol made in Python."""
        return self._text or tomlkit.dumps(self.model_dump(mode="json", exclude_none=True))

    def by_case(self) -> Self:
        """Return the same plan split by case, with leaks allowed: the second trial of `split.contrast`."""
        changed = {"unit": "case", "contrast": "none", "allow_leaks": True}
        other = self.model_copy(update={"split": self.split.model_copy(update=changed)})
        # The text given no longer describes this plan; `text` generates it from the changed values.
        other._text = ""
        return other

    @property
    def cohort_path(self) -> Path | None:
        """The cohort's path, absolute; None where the source needs none."""
        if self.cohort.path is None:
            return None
        try:
            return (self._folder / Path(self.cohort.path).expanduser()).resolve()
        except RuntimeError as error:  # "~" of a user without a home
            raise ProtocolError(
                f"cohort.path is {self.cohort.path!r}, but there is no home folder; set HOME"
            ) from error

    @property
    def label(self) -> str:
        """The label from which the cohort's classes are made, where its source offers several; else empty."""
        return str(self.cohort.settings.get("label", ""))

    def sha256(self) -> str:
        """Return the hash of the plan with all defaults; comments, key order and the data's path do not count."""
        # Over values and not over the file's text: a plan keeps its hash when it is reformatted or its data are moved,
        # and a default that changes in a later version changes the hash.
        plan = self.model_dump(mode="json")
        # Data that are moved are the same data; their content has its own hash, the cohort's fingerprint.
        plan["cohort"].pop("path")
        # How outputs name the cases decides no number; a plan may be run again with plain names.
        plan["cohort"].pop("ids")
        # A plan without such statements keeps the hash that it had before they could be made.
        plan["split"] = {key: value for key, value in plan["split"].items() if value or key not in STATEMENTS}
        return hashlib.sha256(json.dumps(plan, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    @classmethod
    def parse(cls, text: str, name: str = "protocol", folder: Path | None = None) -> Self:
        """Read a protocol from TOML text; error messages show `name`, paths are relative to `folder`."""
        values = tables(text, name)
        if "study" in values:
            raise ProtocolError(f"{name} is a study of many trials, not one protocol; run it with `equipoise run`")
        protocol = validated(cls, values, name, folder)
        protocol._text = text
        if folder is not None:
            protocol._folder = folder.resolve()
        return protocol

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a protocol file.

        Raises ProtocolError where the file is missing or unreadable, or a key or value is not allowed.
        """
        protocol = cls.parse(read_text(Path(path)), str(path), Path(path).parent)
        protocol._file = str(path)
        return protocol
