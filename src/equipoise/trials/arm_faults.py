"""One sentence for the faults of several arms: arms that share a fault are named together, in the protocol's order."""

from collections.abc import Mapping


def joined(faults: Mapping[str, str]) -> str:
    """Return the faults of arms by name as one text; a fault may begin with "arm 'NAME'".

    >>> joined({"a": "arm 'a': no such depth", "b": "arm 'b': no such depth"})
    "arms 'a' and 'b': no such depth"
    >>> joined({"a": "arm 'a' cannot train", "b": "out of range"})
    "arm 'a' cannot train; arm 'b': out of range"
    """
    arms: dict[str, list[str]] = {}
    for arm, text in faults.items():
        beginning = f"arm {arm!r}"
        arms.setdefault(text.removeprefix(beginning) if text.startswith(beginning) else f": {text}", []).append(arm)
    return "; ".join(f"{_named(names)}{rest}" for rest, names in arms.items())


def _named(names: list[str]) -> str:
    if len(names) == 1:
        return f"arm {names[0]!r}"
    return f"arms {', '.join(map(repr, names[:-1]))} and {names[-1]!r}"
