"""The part of the plan that follows from the protocol alone, and its comparison with the plan that was locked."""

from collections.abc import Iterator, Mapping
from typing import Any

from equipoise.protocol import Protocol


def plan_of(protocol: Protocol, folds: int) -> dict[str, Any]:
    """Return the entries of lock.json that the protocol decides; `folds` is the number of folds of the split."""
    training = protocol.training
    return {
        "name": protocol.trial.name,
        "question": protocol.trial.question,
        "protocol_sha256": protocol.sha256(),
        "split": {"scheme": protocol.split.scheme, "unit": protocol.split.unit},
        **({"reuse": protocol.split.reuse} if protocol.split.reuse else {}),
        "endpoints": protocol.endpoints.model_dump(mode="json"),
        "arms": [arm.model_dump(mode="json") for arm in protocol.arms],
        "seeds": list(training.seeds),
        "shared_seeds": training.shared_seeds,
        "jobs": [
            {"arm": arm.name, "fold": fold, "seed": seed} for fold in range(folds) for arm, seed in protocol.runs()
        ],
        "threads": training.threads,
    }


def plan_differences(locked: Mapping[str, Any], protocol: Protocol) -> Iterator[str]:
    """Yield what the lock says otherwise than the protocol, such as "endpoints.margin is 0.9, and 0.03 in the ..."."""
    derived = plan_of(protocol, len(locked["split"]["folds"]))
    if locked.get("ids") and protocol.split.not_leaks:
        # The folder's protocol names its pairs of cases by pseudonyms, and the hash is that of the user's own text; the
        # folder's text has a hash of its own in the lock.
        derived["protocol_sha256"] = locked["protocol_sha256"]
    return _differences(_in_order(locked), _in_order(derived), "")


def _in_order(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan with its jobs in one order; theirs is that of training and no part of the question."""
    return {**plan, "jobs": sorted(plan["jobs"], key=lambda job: (job["arm"], job["fold"], job["seed"]))}


def _differences(locked: Any, derived: Any, place: str) -> Iterator[str]:
    if isinstance(locked, Mapping) and isinstance(derived, Mapping):
        # Keys of both alone: locks of earlier versions lack keys, and the lock has keys that no protocol decides.
        for key in derived.keys() & locked.keys():
            yield from _differences(locked[key], derived[key], f"{place}.{key}" if place else str(key))
    elif isinstance(locked, list) and isinstance(derived, list) and len(locked) == len(derived):
        for index, (one, other) in enumerate(zip(locked, derived, strict=True)):
            yield from _differences(one, other, f"{place}[{index}]")
    elif locked != derived:
        yield f"{place} is {_short(locked)}, and {_short(derived)} in the protocol"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
