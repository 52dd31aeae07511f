"""How two trials are related: what their arms have in common, and in what their plans differ.

Names and words are compared for the reader alone. Which cases were opened decides what an opening counts, except that
a stated reason for reuse is of no avail where an arm is related to one that was seen on these cases.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any

_ARM = ("model", "optimizer", "pretrained", "freeze")


def arms_of(lock: Mapping[str, Any]) -> list[str]:
    """Return what every arm is, without its name, which anybody may change."""
    return sorted(json.dumps({key: arm.get(key) for key in _ARM}, sort_keys=True) for arm in lock["arms"])


def judged_by(lock: Mapping[str, Any]) -> str:
    """Return the endpoints of a plan as text, for the registry."""
    return json.dumps(lock["endpoints"], sort_keys=True)


def in_common(before: Iterable[str], lock: Mapping[str, Any]) -> list[str]:
    """Return the networks and optimizers that both have, whatever their settings, as "network unet".

    before: arms of another trial, as `arms_of` gives them. Of code of one's own the name counts, and not its module.
    """
    earlier, now = _parts(before), _parts(arms_of(lock))
    return [f"{kind} {now[kind, name]}" for kind, name in sorted(earlier.keys() & now.keys())]


def shares_arm(before: Iterable[str], lock: Mapping[str, Any]) -> bool:
    """Return whether an arm of the plan has the network and the optimizer of an earlier arm, whatever their settings.

    before: as in `in_common`.
    """
    now = {frozenset(_parts([arm])) for arm in arms_of(lock)} - {frozenset()}
    return not now.isdisjoint(frozenset(_parts([arm])) for arm in before)


def differences(row: Mapping[str, Any], lock: Mapping[str, Any], shared: int, cases: int) -> list[str]:
    """Return in what a plan differs from an earlier one, in words; empty where in nothing that is named here.

    row: a line of the registry. shared: the number of test cases of both; cases: of this plan.
    """
    before, now = _endpoints(row), lock["endpoints"]
    words = []
    if _words(row["question"]) != _words(lock["question"]):
        words.append("the question")
    if not _one_endpoint(str(row["primary"]), str(now["primary"])):
        words.append(f"the primary endpoint ({row['primary']} then)")
    for key, name in (("margin", "the margin"), ("alpha", "alpha")):
        if key in before and before[key] != now.get(key):
            words.append(f"{name} ({before[key]} then)")
    arms = set(arms_of(lock))
    if arms != set(row["arms"]):
        alike = _parts(row["arms"]).keys() == _parts(arms).keys()
        words.append("settings of the arms" if alike else "the arms")
    if "seeds" in row and row["seeds"] != list(lock.get("seeds", ())):
        words.append("the seeds")
    if shared < cases or len(row["cases"]) != cases:
        words.append("the split")
    if row["fingerprint"] != lock["cohort"]["fingerprint"]:
        words.append("names, files or cases of the cohort")
    return words


def _parts(arms: Iterable[str]) -> dict[tuple[str, str], str]:
    """Return the kinds and names of what arms are made of, with the spelling of each."""
    parts: dict[tuple[str, str], str] = {}
    for text in arms:
        try:
            arm = json.loads(text)
        except (ValueError, RecursionError):
            continue
        for key, kind in (("model", "network"), ("optimizer", "optimizer")):
            part = arm.get(key) if isinstance(arm, dict) else None
            name = part.get("name") if isinstance(part, dict) else part
            # An ensemble is made of other arms of its trial, which are compared themselves.
            if isinstance(name, str) and name != "ensemble":
                parts[kind, plain_name(name).rpartition(":")[2].casefold()] = name.rpartition(":")[2].casefold()
    return parts


def plain_name(name: str) -> str:
    """Return a name as the protocol matches it: "U-Net" is also written "unet"; names of own code stay as they are.

    >>> plain_name("U-Net"), plain_name("nets:U_Net")
    ('unet', 'nets:U_Net')
    """
    return name if ":" in name else name.casefold().replace("-", "").replace("_", "")


def _endpoints(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the endpoints of a line of the registry; empty where an earlier version left them out."""
    try:
        values = json.loads(row.get("endpoints") or "{}")
    except (ValueError, RecursionError):
        return {}
    return values if isinstance(values, dict) else {}


def _words(text: object) -> str:
    return " ".join(str(text).casefold().split())


def _one_endpoint(a: str, b: str) -> bool:
    """Return whether two names mean one endpoint: `sensitivity@0.9` is also written `sensitivity@.90`."""
    return _named(a) == _named(b)


def _named(name: str) -> tuple[str, float | str]:
    kind, _, level = name.partition("@")
    try:
        return kind, float(level)
    except ValueError:
        return kind, level
