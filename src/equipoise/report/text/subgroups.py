"""Display names of attributes, and sentences on the tests of subgroups."""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import p_value, plural

_UNITS = {"mm": "mm", "mm2": "mm²", "mm3": "mm³", "ml": "ml", "years": "years", "hu": "HU"}


def words_of(attribute: str) -> str:
    """Return an attribute's display name.

    >>> words_of("diameter_mm"), words_of("volume_mm3"), words_of("n_readers")
    ('diameter (mm)', 'volume (mm³)', 'number of readers')
    """
    plain, _, unit = attribute.rpartition("_")
    if plain and unit in _UNITS:
        return f"{words_of(plain)} ({_UNITS[unit]})"
    return ("number of " + attribute.removeprefix("n_") if attribute.startswith("n_") else attribute).replace("_", " ")


def variation_in_words(tests: Sequence[Mapping[str, Any]]) -> str:
    """State the results of one attribute's tests: each variation in a sentence, all others in one."""
    done = [test for test in tests if test["p"] is not None]
    if not done:
        return "Too few groups are large enough to test whether the results of an arm vary between them."
    varied = [test["reason"] for test in done if test["p_adjusted"] < 0.05]
    rest = [test["p_adjusted"] for test in done if test["p_adjusted"] >= 0.05]
    if not rest:
        return " ".join(varied)
    # Only the smallest p: a list of tests without a result invites readers to pick one.
    who = "the others" if varied else "arms and differences"
    count = f"{plural(len(rest), 'test')}, smallest adjusted p {p_value(min(rest))}"
    return " ".join([*varied, f"For {who} no variation was shown ({count})."])
