"""Start Python in a child process that imports what this process imports, and nothing from the working folder.

`python -c` and `python -m` put the working folder first on the path of imports: a torch.py among a user's scans would
run in place of PyTorch.
"""

import sys
from pathlib import Path

PYTHON = (sys.executable, "-P")
"""The interpreter and the option that keeps the working folder off the path (Python 3.11 and newer)."""


def import_path() -> list[str]:
    """Return this process's path of imports for a child; the working folder comes last, and only if it is on ours."""
    # "" stands for the working folder, which an interactive session may rely on for a module of the user's own
    own = [path for path in sys.path if path]
    return own if len(own) == len(sys.path) else [*own, str(Path.cwd())]
