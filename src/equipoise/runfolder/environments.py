"""Compare the environments in which jobs were trained: software, device, instructions, compiler, threads."""

from collections.abc import Mapping, Sequence
from typing import Any


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs, such as "torch 2.14.0, then 2.15.0".

    >>> environment_changes({"torch": "2.14.0", "threads": 1}, {"torch": "2.15.0", "threads": 1})
    ['torch 2.14.0, then 2.15.0']
    """
    keys = dict.fromkeys([*before, *now])
    return [f"{key} {before.get(key)}, then {now.get(key)}" for key in keys if before.get(key) != now.get(key)]


def differing(environments: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the values of every entry in which these environments differ, in order of appearance."""
    keys = dict.fromkeys(key for one in environments for key in one)
    values = {key: list(dict.fromkeys(str(one.get(key)) for one in environments)) for key in keys}
    return {key: several for key, several in values.items() if len(several) > 1}
