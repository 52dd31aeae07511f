"""Which files are the user's own: no part of Python, of an installed package, or of this one."""

import os
import site
import sysconfig
from functools import cache
from pathlib import Path


@cache
def _installed() -> tuple[str, ...]:
    """Return the folders of Python, of installed packages and of this package, each ending with a separator."""
    paths = sysconfig.get_paths()
    folders = [paths[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [*site.getsitepackages(), site.getusersitepackages(), str(Path(__file__).parent)]
    return tuple({os.path.join(form, "") for one in folders for form in (one, os.path.realpath(one))})  # noqa: PTH118


def is_own_file(file: str | Path) -> bool:
    """Return whether a file is the user's own, and no part of Python, of an installed package or of this one."""
    # Both forms: a distribution of Python may keep a link in its library to a file elsewhere.
    forms = {os.path.abspath(file), os.path.realpath(file)}  # noqa: PTH100
    return not any(form.startswith(_installed()) for form in forms)
