"""An empty root folder with Python, its packages and the wheel of this project, in which commands run as a stranger.

No compiler, no HOME, no /etc (the user has no name), no network; packages are read-only. It needs Linux and the right
to make namespaces.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
UID = 4321
_MOUNTS = r"""
set -e
mount -t tmpfs none "$ROOT"
cd "$ROOT"
mkdir -p deps site out tmp dev proc lib64 .$PREFIX .$LIBRARIES
[ -e lib ] || ln -s usr/lib lib
bind() { mount --rbind "$1" "$2"; mount -o remount,ro,bind "$2" 2>/dev/null || true; }
bind "$PREFIX" ".$PREFIX"; bind "$DEPENDENCIES" deps; bind "$SITE" site; bind "$LIBRARIES" ".$LIBRARIES"
bind /lib64 lib64
mount --bind "$OUT" out
for one in null zero urandom random; do touch dev/$one; mount --bind /dev/$one dev/$one; done
mkdir -p dev/shm; mount -t tmpfs none dev/shm; chmod 1777 tmp dev/shm
mount --rbind /proc proc
exec chroot --userspec=$USERSPEC . "$PREFIX/bin/python3" -P -c "$START" "$@"
"""
_START = """
import os, sys
os.chdir("/out")
os.environ.clear()
os.environ.update(PYTHONPATH="/site:/deps", EQUIPOISE_CORES="1")
os.execv(sys.executable, [sys.executable, "-P", "-m", "equipoise", *sys.argv[1:]])
"""


@dataclass(frozen=True)
class BareRoot:
    """The empty root. site: the installed wheel; out: the one folder that can be written, /out inside."""

    site: Path
    out: Path
    root: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run `equipoise` with these arguments inside, in /out."""
        library = Path(os.path.realpath(next(Path("/lib").glob("*-linux-gnu/libc.so.6")))).parent
        environment = {
            "PATH": os.environ["PATH"], "ROOT": str(self.root), "PREFIX": sys.base_prefix, "SITE": str(self.site),
            "DEPENDENCIES": str(_dependencies()), "LIBRARIES": str(library), "OUT": str(self.out), "START": _START,
            "USERSPEC": f"{UID}:{UID}",
        }  # fmt: skip
        command = ["unshare", "--net", "--mount", "--ipc", "sh", "-c", _MOUNTS, "sh", *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _dependencies() -> Path:
    import numpy

    return Path(numpy.__file__).parents[1]


def possible() -> bool:
    """Return whether this machine lets us make such a root: Linux, and the rights of its administrator."""
    if sys.platform != "linux" or os.geteuid() or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(["unshare", "--net", "--mount", "--ipc", "true"], check=False, capture_output=True)
    return tried.returncode == 0


def made(folder: Path) -> BareRoot:
    """Build the wheel, install it alone into a folder, and return a root that holds it."""
    wheels = folder / "wheels"
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(wheels)],
        cwd=PROJECT, check=True, capture_output=True,
    )  # fmt: skip
    site, out, root = folder / "site", folder / "out", folder / "root"
    (wheel,) = wheels.glob("*.whl")
    shutil.unpack_archive(wheel, site, "zip")
    for place in (out, root):
        place.mkdir()
    # Whoever runs inside owns the one folder, and may look into those above it.
    os.chown(out, UID, UID)
    return BareRoot(site, out, root)
