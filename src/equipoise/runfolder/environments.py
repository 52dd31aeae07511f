"""Compare the environments in which jobs were trained: software, device, processor, compiler, threads."""

from collections.abc import Mapping, Sequence
from typing import Any


def environment_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return what differs, such as "torch 2.14.0, then 2.15.0"; an entry that one of the two lacks is not known.

    >>> environment_changes({"torch": "2.14.0", "threads": 1}, {"torch": "2.15.0", "threads": 1, "cpu": "Xeon"})
    ['torch 2.14.0, then 2.15.0']
    """
    # Records of earlier versions lack entries, which is no sign of another machine.
    return [f"{key} {before[key]}, then {now[key]}" for key in before if key in now and before[key] != now[key]]


def differing(environments: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return the values of every entry in which environments that have it differ, in order of appearance.

    >>> differing([{"torch": "2.14.0"}, {"torch": "2.14.0", "cpu": "Xeon"}, {"torch": "2.14.0", "cpu": "EPYC"}])
    {'cpu': ['Xeon', 'EPYC']}
    """
    keys = dict.fromkeys(key for one in environments for key in one)
    values = {key: list(dict.fromkeys(str(one[key]) for one in environments if key in one)) for key in keys}
    return {key: several for key, several in values.items() if len(several) > 1}
