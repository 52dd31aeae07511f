"""Numbers inside the sentences of results.json, with the ASCII minus sign that programs expect."""

from collections.abc import Sequence
from math import ceil, floor, log10

_MOST_DECIMALS = 9
"""A difference that needs more is the rounding of equal numbers."""


def decimals_for(values: Sequence[float], decimals: int = 3, marks: Sequence[float] = (0.0,)) -> int:
    """Return the fewest decimals, at least these, at which no value reads as a mark from which it differs.

    >>> decimals_for([0.0004, 0.02]), decimals_for([0.2, 0.02]), decimals_for([0.02996], 3, [0.03]), decimals_for([0.0])
    (4, 3, 5, 3)
    """
    for digits in range(decimals, _MOST_DECIMALS + 1):
        shown = [(float(f"{value:.{digits}f}"), value) for value in values]
        if not any(text == float(f"{mark:.{digits}f}") and value != mark for text, value in shown for mark in marks):
            return digits
    return decimals


def adding_up(pair: Sequence[float], decimals: int) -> int:
    """Return the fewest decimals, at least these, at which two rounded numbers differ by their rounded difference.

    At most two more; these decimals where none of them serve.

    >>> adding_up([0.8424, 0.7886], 3), adding_up([0.8424, 0.7881], 3)
    (4, 3)
    """
    for digits in range(decimals, decimals + 3):
        first, second, gap = (float(f"{value:.{digits}f}") for value in (*pair, pair[0] - pair[1]))
        if abs(first - second - gap) < 10.0**-digits / 2:
            return digits
    return decimals


def amount(value: float, decimals: int = 3) -> str:
    """Format a metric's value or difference with three decimals, or three digits where it is large.

    >>> amount(0.0312), amount(-12.34), amount(0.0004)
    ('0.031', '-12.3', '0.0004')
    """
    if abs(value) >= 10 and decimals == 3:
        return f"{value:.3g}"
    digits = decimals_for([value], decimals)
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text


def amounts(*values: float, marks: Sequence[float] = (0.0,)) -> list[str]:
    """Format numbers of one sentence with as many decimals as tell each of them from the marks, 0 or a margin.

    >>> amounts(0.0004, 0.021), amounts(0.0299, 0.02, marks=[0, 0.03])
    (['0.0004', '0.0210'], ['0.0299', '0.0200'])
    >>> amounts(17.41, 6.407, -33.8)
    ['17.4', '6.4', '-33.8']
    """
    digits = decimals_for(values, usual_decimals(values), marks)
    return [fixed(value, digits) for value in values]


def usual_decimals(values: Sequence[float]) -> int:
    """Return the decimals of a sentence: three, or one where a value is 10 or more, as of millimetres."""
    return 1 if max(map(abs, values), default=0.0) >= 10 else 3


def fixed(value: float, decimals: int) -> str:
    """Format with exactly these decimals; a rounded zero has no sign."""
    text = f"{value:.{decimals}f}"
    return text.lstrip("-") if float(text) == 0 else text


def about(count: int) -> str:
    """Format a planning number with two digits, rounded up: fewer patients than stated are never enough.

    >>> about(387), about(1240), about(96), about(14)
    ('390', '1,300', '96', '14')
    """
    # The seed spread, on which the number depends, is known from a few runs only: more digits would pretend to more.
    unit = 10 ** max(floor(log10(max(count, 1))) - 1, 0)
    return f"{ceil(count / unit) * unit:,}"


def p_text(p: float) -> str:
    """Format p as journals print it.

    >>> p_text(0.00001), p_text(0.0312)
    ('p < 0.001', 'p = 0.031')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def percent(level: float) -> str:
    """Format a confidence level.

    >>> percent(0.95)
    '95 %'
    """
    return f"{100 * level:.3g} %"
