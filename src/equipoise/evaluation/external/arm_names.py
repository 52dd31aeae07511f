"""Name the arm of a file or folder without a given name, after itself or after the nearest distinctive folder."""

import re
from collections.abc import Sequence
from pathlib import Path

from equipoise.evaluation.external.reading import stem

_SAYS_NOTHING = re.compile(
    r"summary|validation|predictions?|predicted|results?|metrics?|masks?|scores|output|postprocessed|fold_\w+"
    r"|fold[ -]?\d+|.+_raw",
    re.IGNORECASE,
)
_FOLD = re.compile(r"fold[ _-]?(\d+)", re.IGNORECASE)


def split_arm(given: str) -> tuple[str | None, str]:
    """Split `arm=path`; the arm is None where none is given, or where the whole is a path that exists.

    >>> split_arm("nnU-Net=a/summary.json"), split_arm("a/summary.json")
    (('nnU-Net', 'a/summary.json'), (None, 'a/summary.json'))
    """
    # File names may hold "=", too: an existing path, or a slash before the sign, wins over a name.
    arm, equals, path = given.partition("=")
    if not equals or not arm or "/" in arm or Path(given).exists():
        return None, given
    return arm, path


def arm_names(paths: Sequence[Path]) -> list[str]:
    """Choose the shortest distinct name per path; paths that differ only in words like "fold_1" share one.

    >>> arm_names([Path("/x/unet/fold_0/summary.json"), Path("/x/vnet/fold_0/summary.json")])
    ['unet', 'vnet']
    """
    telling = [_telling(path) for path in paths]
    depth = 1
    while _clash(telling, depth) and depth < max(map(len, telling)):
        depth += 1
    return ["/".join(parts[-depth:]) for parts in telling]


def fold_in(path: Path) -> int | None:
    """Return the fold that a path names, as nnU-Net's folders do; None without one.

    >>> fold_in(Path("nnUNetTrainer__3d_fullres/fold_3/validation/summary.json"))
    3
    """
    matches = [_FOLD.fullmatch(part) for part in (*path.parts[:-1], path.stem)]
    return next((int(one[1]) for one in reversed(matches) if one), None)


def _telling(path: Path) -> tuple[str, ...]:
    whole = path.resolve()
    last = stem(whole.name)
    if last == whole.name and not path.is_dir():
        last = whole.stem
    parts = [*whole.parts[1:-1], last]
    return tuple(part for part in parts if not _SAYS_NOTHING.fullmatch(part)) or (last,)


def _clash(telling: Sequence[tuple[str, ...]], depth: int) -> bool:
    """Whether two different paths would get one name."""
    named: dict[tuple[str, ...], tuple[str, ...]] = {}
    return any(named.setdefault(parts[-depth:], parts) != parts for parts in telling)
