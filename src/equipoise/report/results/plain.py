"""Convert results to plain dictionaries and lists for JSON."""

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from equipoise.statistics.reasons import Reason


def json_safe(value: Any) -> Any:
    """Return the value with plain types, and None for NaN and infinities, which JSON lacks; keep reasons."""
    if isinstance(value, Reason):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: json_safe(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): json_safe(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [json_safe(inner) for inner in value]
    if isinstance(value, np.generic):
        return json_safe(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
