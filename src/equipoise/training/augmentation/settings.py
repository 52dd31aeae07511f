"""Settings of the protocol's table [augmentation], checked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from equipoise.errors import ProtocolError
from equipoise.lookup import nearest

AXES = {"horizontal": -1, "vertical": -2, "depth": -3}
Range = tuple[float, float]

LARGEST_ELASTIC = 0.1
"""Beyond this a cubic B-spline over four intervals may fold (Choi & Lee 2000: 0.403 of an interval in 3D)."""

_NUMBERS = {
    "rotate_degrees": 180.0,
    "shift": 0.5,
    "elastic": LARGEST_ELASTIC,
    "bias_field": 1.0,
    "brightness": 3.0,
    "blur": 10.0,
    "noise": 3.0,
    "cutout": 1.0,
}
_RANGES = ("scale", "contrast", "gamma")


@dataclass(frozen=True)
class Augmentation:
    """Steps that may change a training image, in this order; lengths are fractions of the image's size.

    rotate_degrees: angles are uniform in ± this (in 3D about each axis).
    flip: axes that are mirrored with probability one half.
    scale: range of a uniform zoom factor, above 1 magnifies.
    shift: uniform in ± this along each axis.
    elastic: control points of a smooth deformation move by up to this along each axis.
    bias_field: coefficients of the logarithm of a smooth multiplicative field are uniform in ± this.
    contrast: range of a uniform factor on the distance from the channel's mean.
    brightness: an offset uniform in ± this, in standard deviations of the channel.
    gamma: range of an exponent, uniform in its logarithm, on the channel scaled to [0, 1].
    blur: standard deviation of a Gaussian in voxels, uniform up to this.
    noise: standard deviation of Gaussian noise, uniform up to this, in standard deviations of the channel.
    cutout: sides of a box that is filled with the channel's mean, uniform up to this; masks do not change.
    probability: that a step (by its name) changes an image at all; 1 for steps without an entry.
    """

    rotate_degrees: float = 0.0
    flip: tuple[str, ...] = ()
    scale: Range = (1.0, 1.0)
    shift: float = 0.0
    elastic: float = 0.0
    bias_field: float = 0.0
    contrast: Range = (1.0, 1.0)
    brightness: float = 0.0
    gamma: Range = (1.0, 1.0)
    blur: float = 0.0
    noise: float = 0.0
    cutout: float = 0.0
    probability: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any], spatial_dims: int) -> "Augmentation":
        """Read the protocol's table; errors name the key and the allowed values."""
        allowed = list(cls.__dataclass_fields__)
        for key in settings:
            if key not in allowed:
                raise ProtocolError(f"the key 'augmentation.{key}' is unknown; {nearest(key, allowed)}")
        values: dict[str, Any] = {
            key: _number(key, settings[key], high) for key, high in _NUMBERS.items() if key in settings
        }
        values |= {key: _range(key, settings[key]) for key in _RANGES if key in settings}
        if "flip" in settings:
            values["flip"] = _axes(settings["flip"], list(AXES)[:spatial_dims])
        plan = cls(**values)
        return cls(**values, probability=_probability(settings.get("probability", {}), plan.steps))

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps that may change an image, in their order."""
        fields = Augmentation.__dataclass_fields__
        names = [name for name in fields if name != "probability"]
        return tuple(name for name in names if getattr(self, name) != fields[name].default)

    @property
    def identity(self) -> bool:
        """Whether no step changes an image."""
        return all(self.probability.get(step) == 0 for step in self.steps)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(key: str, value: Any, high: float) -> float:
    if not _is_number(value) or not 0 <= value <= high:
        raise ProtocolError(f"augmentation.{key} = {value!r} is not allowed: a number from 0 to {high:g}")
    return float(value)


def _range(key: str, value: Any) -> Range:
    if (
        not isinstance(value, Sequence)
        or len(value) != 2
        or not all(map(_is_number, value))
        or not 0 < value[0] <= value[1]
    ):
        raise ProtocolError(
            f"augmentation.{key} = {value!r} is not allowed: two factors, 0 < low <= high, as [0.9, 1.1]"
        )
    return float(value[0]), float(value[1])


def _axes(value: Any, axes: list[str]) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str) or any(axis not in axes for axis in value):
        raise ProtocolError(f"augmentation.flip = {value!r} is not allowed: it is a list of {', '.join(axes)}")
    return tuple(value)


def _probability(value: Any, steps: Sequence[str]) -> dict[str, float]:
    """Read one number for all steps but flips, which have their own coins, or a table by step."""
    optional = [step for step in steps if step != "flip"]
    if not isinstance(value, Mapping):
        return dict.fromkeys(optional, _share(value))
    for step in value:
        if step not in optional:
            remedy = nearest(step, optional) if optional else "set the step first"
            raise ProtocolError(
                f"augmentation.probability names {step!r}, which is not a step of this protocol; {remedy}"
            )
    return {step: _share(share) for step, share in value.items()}


def _share(value: Any) -> float:
    if not _is_number(value) or not 0 <= value <= 1:
        raise ProtocolError(
            f"augmentation.probability = {value!r} is not allowed: a number from 0 to 1, or a table as {{noise = 0.2}}"
        )
    return float(value)
