"""The error of the contract suites, and the sentence that any exception of checked code becomes."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from equipoise.errors import EquipoiseError

_PACKAGES = (Path(__file__).resolve().parents[1], Path(torch.__file__).resolve().parent)


class ContractViolation(EquipoiseError, AssertionError):
    """A model, an optimizer or a cohort breaks a clause of its contract; the message names the clause and the fault."""


def clause_of(check: Callable[[Any], None]) -> str:
    """Return the clause that a check tests: its docstring without the full stop."""
    return (check.__doc__ or "").rstrip(".")


_CURES = (
    ("uninitialized", "give its lazy layers their sizes (nn.Conv2d in place of nn.LazyConv2d)"),
    ("lazy", "give its lazy layers their sizes (nn.Conv2d in place of nn.LazyConv2d)"),
    ("unexpected keyword argument", "take the setting, or leave it out of `settings`"),
    ("required positional argument", "take (in_channels, out_channels, spatial_dims, **settings) in this order"),
    ("positional arguments but", "take (in_channels, out_channels, spatial_dims, **settings) in this order"),
    ("to have", "build its first layer for in_channels channels"),
    ("size of tensors must match", "bring both maps to one size, or declare odd_sizes=False"),
    ("sizes of tensors must match", "bring both maps to one size, or declare odd_sizes=False"),
    ("must match the size of tensor", "bring both maps to one size, or declare odd_sizes=False"),
    ("shapes cannot be multiplied", "average over space before the linear layer, or give its image size as `size`"),
    ("view size is not compatible", "call reshape in place of view"),
    ("kernel size can't be greater", "test it with larger images by `size`"),
    ("output size is too small", "test it with larger images by `size`"),
    ("more than 1 value per channel", "test it with larger images by `size`"),
    ("inplace operation", "do not change a tensor that the gradient needs in place"),
    ("does not require grad", "do not detach the output from the weights"),
    ("memory", "test it with smaller images by `size`"),
    (
        "doesn't match model",
        "give its image size as `size`, with odd_sizes=False, or build it for this one by settings",
    ),
    ("no module named", "install that package"),
)
"""Beginnings of torch's and Python's messages (lower case) and the usual cure of each."""


def described(error: BaseException) -> str:
    """Return an exception as part of a sentence: kind, first line, place in the checked code, and the usual cure."""
    first = (str(error).strip() or "no message").split("\n")[0].rstrip(".")
    cure = next((cure for text, cure in _CURES if text in first.lower()), "correct the code there")
    return f"{type(error).__name__}: {first}{_place(error)}; {cure}"


def _place(error: BaseException) -> str:
    """Return where the checked code raised: its last line outside of torch and this package; empty without one."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if file.is_file() and not any(package in file.resolve().parents for package in _PACKAGES):
            return f" ({file.name}, line {frame.lineno})"
    return ""


@contextmanager
def as_violation(subject: str) -> Iterator[None]:
    """Turn any exception inside the block into a ContractViolation that begins with `subject`.

    Violations, and the sentences of this package's own errors, keep their words; Ctrl-C passes.
    """
    try:
        yield
    except ContractViolation:
        raise
    except EquipoiseError as error:
        raise ContractViolation(f"{subject}: {str(error).rstrip('.')}.") from error
    # SystemExit too: code of a user's own that calls exit() would otherwise end the caller's tests without a word.
    except (Exception, SystemExit) as error:
        raise ContractViolation(f"{subject}: {described(error)}.") from error
