"""Read the protocol's [preprocessing] table as typed settings; errors name the key, its value and what is allowed.

scale: intensities: "unit" to [0, 1], "symmetric" to [-1, 1], "zscore", "none", {window_hu = [-1000, 400]} or
    {percentiles = [0.5, 99.5]}.
crop: cuts to the foreground: true, false, or {margin_mm = 5} with a margin about it.
resample: target spacing in mm, one number or one per axis (z, y, x).
size: voxels of every image, which is cut or padded; one number or one per axis (z, y, x).
smooth_labels: smooths masks: a Gaussian's standard deviation in mm, or a table of gaussian_mm, opening_mm, closing_mm.
"""

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

from equipoise.errors import ProtocolError
from equipoise.lookup import nearest
from equipoise.preprocessing.intensity import Scale
from equipoise.preprocessing.labels import Smoothing

KEYS = ("scale", "crop", "resample", "size", "smooth_labels")
SCALES = ("unit", "symmetric", "zscore", "none")
RANGES = {"window_hu": (-32768.0, 65535.0), "percentiles": (0.0, 100.0)}


def check_keys(settings: Mapping[str, Any]) -> None:
    """Refuse keys that do not belong to this table."""
    for key in settings:
        if key not in KEYS:
            raise ProtocolError(f"the key 'preprocessing.{key}' is unknown; {nearest(str(key), KEYS)}")


def _refuse(key: str, value: Any, allowed: str) -> ProtocolError:
    return ProtocolError(f"preprocessing.{key} = {value!r} is not allowed: {allowed}")


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def read_scale(value: Any) -> Scale:
    """Read a word, or a table with one of window_hu and percentiles."""
    allowed = f"{', '.join(SCALES)}, {{window_hu = [-1000, 400]}} or {{percentiles = [0.5, 99.5]}}"
    if isinstance(value, str) and value in SCALES:
        return Scale(value)  # type: ignore[arg-type]  # just checked
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in RANGES:
        raise _refuse("scale", value, allowed)
    kind, limits = next(iter(value.items()))
    # The limits of window_hu are those of signed and unsigned 16-bit voxels: a window beyond them is a typing error.
    low, high = RANGES[kind]
    if not (isinstance(limits, Sequence) and len(limits) == 2 and all(_is_number(v) for v in limits)):
        raise _refuse(f"scale.{kind}", limits, "two numbers, the lower first")
    if not low <= limits[0] < limits[1] <= high:
        raise _refuse(f"scale.{kind}", limits, f"two numbers from {low:g} to {high:g}, the lower first")
    return Scale(kind, float(limits[0]), float(limits[1]))


def read_crop(value: Any) -> float | None:
    """Read the margin in mm about the foreground, None for no crop."""
    if value is None or value is False:
        return None
    if value is True:
        return 0.0
    margin = value.get("margin_mm") if isinstance(value, Mapping) and len(value) == 1 else None
    if _is_number(margin) and 0 <= margin <= 1000:
        return float(margin)
    raise _refuse("crop", value, "true, false or {margin_mm = 5} with 0 to 1000 mm")


def _per_axis(key: str, value: Any, low: float, high: float, what: str) -> tuple[float, ...] | None:
    """Read one number for all axes, or one per spatial axis in array order (z, y, x) or (y, x)."""
    if value is None:
        return None
    numbers = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    if len(numbers) not in (1, 2, 3) or not all(_is_number(v) and low <= v <= high for v in numbers):
        raise _refuse(
            key, value, f"{what} from {low:g} to {high:g}, one for all axes or a list of one per axis (z, y, x)"
        )
    return numbers


def read_resample(value: Any) -> tuple[float, ...] | None:
    """Read the target spacing in mm."""
    spacing = _per_axis("resample", value, 0.01, 100, "millimetres")
    return None if spacing is None else tuple(float(v) for v in spacing)


def read_size(value: Any) -> tuple[int, ...] | None:
    """Read the number of voxels per axis."""
    size = _per_axis("size", value, 1, 4096, "whole voxels")
    if size is not None and any(v != int(v) for v in size):
        raise _refuse("size", value, "whole numbers of voxels")
    return None if size is None else tuple(int(v) for v in size)


def read_smoothing(value: Any) -> Smoothing | None:
    """Read a Gaussian's standard deviation in mm, or a table of radii and standard deviation."""
    allowed = "millimetres from 0 to 100, or a table of gaussian_mm, opening_mm, closing_mm"
    if value is None or value is False:
        return None
    table = value if isinstance(value, Mapping) else {"gaussian_mm": value}
    for key, number in table.items():
        if key not in Smoothing.__dataclass_fields__ or not _is_number(number) or not 0 <= number <= 100:
            raise _refuse("smooth_labels", value, allowed)
    smoothing = Smoothing(**{key: float(number) for key, number in table.items()})
    return None if smoothing == Smoothing() else smoothing
