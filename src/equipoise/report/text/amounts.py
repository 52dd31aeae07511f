"""Numbers inside the sentences of results.json, with the ASCII minus sign that programs expect."""


def amount(value: float) -> str:
    """Format a metric's value or difference with three decimals, or three digits where it is large.

    >>> amount(0.0312), amount(-12.34)
    ('0.031', '-12.3')
    """
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"


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
