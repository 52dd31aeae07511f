"""Start Python in a child process that imports what this process imports, and nothing from the working folder.

`python -c` and `python -m` put the working folder first on the path of imports: a torch.py among a user's scans would
run in place of PyTorch.
"""

import os
import site
import sys
from pathlib import Path

PYTHON = (sys.executable, "-P", "-s")
"""The interpreter, and the options that keep off the working folder (Python 3.11 and newer) and the user's own
`usercustomize`, which Python would run in every child; packages installed for the user alone are on our path."""


FOLDERS = "EQUIPOISE_IMPORTS"
"""The variable by which a child learns of folders of the user's own modules, which PYTHONPATH must not name."""


def import_path() -> list[str]:
    """Return this process's path of imports for a child; folders of the user's own modules come last.

    These are the working folder, if it is on our path, and those that `lookup.imported` has searched.
    """
    return [*_installed(), *_folders()]


def import_environment() -> dict[str, str]:
    """Return the variables with which a child imports as this process does; the child calls `take_folders` first."""
    # Python runs a sitecustomize.py of every folder of PYTHONPATH, and prefers a json.py there to its own.
    others = dict.fromkeys([*os.environ.get(FOLDERS, "").split(os.pathsep), *_folders()])
    return {"PYTHONPATH": os.pathsep.join(_installed()), FOLDERS: os.pathsep.join(filter(None, others))}


def take_folders() -> None:
    """Append the folders of the user's own modules that the parent names to the path of imports."""
    folders = os.environ.get(FOLDERS, "").split(os.pathsep)
    sys.path += [path for path in folders if path and path not in sys.path]


def _installed() -> list[str]:
    """Return the folders of Python's own, of installed packages, of this package, and those that PYTHONPATH states."""
    # Python's own stand in the list too, so that no json.py in a folder of packages precedes them.
    roots = (sys.prefix, sys.base_prefix, *site.getsitepackages(), site.getusersitepackages())
    by_hand = {*os.environ.get("PYTHONPATH", "").split(os.pathsep), str(Path(__file__).parents[1])}
    own = [path for path in sys.path if path in by_hand or any(Path(path).is_relative_to(one) for one in roots)]
    return [path for path in own if path and Path(path) != Path.cwd()]


def _folders() -> list[str]:
    """Return the other folders of our path; the working folder last, if it is among them."""
    here, installed = Path.cwd(), _installed()
    # "" stands for the working folder, which an interactive session may rely on for a module of the user's own
    others = [path for path in sys.path if path and Path(path) != here and path not in installed]
    return [*others, str(here)] if any(not path or Path(path) == here for path in sys.path) else others
