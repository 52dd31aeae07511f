"""What stands against an arm's use, under the name of the reason that applies."""

from collections.abc import Sequence
from typing import NamedTuple

EXPLORATORY = "the trial is exploratory"
UNSHOWN = "the trial does not show that it is better than"
"""How reasons begin that `arm_evidence` lists under `overruled`."""


class Objection(NamedTuple):
    """A title that names the kind of the reasons, and the reasons."""

    title: str
    text: str


def objection(reasons: Sequence[str]) -> Objection | None:
    """Return what stands against an arm; None without a reason.

    An exploratory trial says nothing against its arm, and its page must not read as if it did.

    >>> objection(["the trial is exploratory: its record could not be verified"])
    Objection(title='The trial is exploratory', text='its record could not be verified')
    >>> objection(["the trial does not show that it is better than empty-mask"]).title
    'The trial does not support this arm'
    """
    if not reasons:
        return None
    if all(reason.startswith(EXPLORATORY) for reason in reasons):
        return Objection("The trial is exploratory", "; ".join(reason.partition(": ")[2] for reason in reasons))
    unshown = any(reason.startswith(UNSHOWN) for reason in reasons)
    return Objection(f"The trial does not {'' if unshown else 'fully '}support this arm", "; ".join(reasons))
