"""A disk that is full at any moment of a run stops it with one sentence; with more room the same command goes on."""

import os
import shutil
import subprocess
import sys

import pytest

PROTOCOL = """
[cohort]
source = "phantom"
cases = 60
size = 16
[split]
fractions = [0.5, 0.2, 0.3]
[training]
epochs = 1
seeds = [0, 1, 2]
[[arms]]
name = "unet"
model = {name = "unet", preset = "tiny"}
[[arms]]
name = "densenet"
model = {name = "densenet", preset = "tiny"}
"""
# A disk in memory of so many kB; then with room, in the same mount.
SCRIPT = r"""
set -u
mount -t tmpfs -o size=$KB none "$ROOT/disk" || exit 99
cd "$ROOT"
for size in $KB $((2 * KB)) 400m; do
  mount -o remount,size=$size "$ROOT/disk"
  "$PYTHON" -P -m equipoise run protocol.toml --out disk/run --quiet >/dev/null 2>"$ROOT/said-$size"
  echo "$size $?"
done
"$PYTHON" -P -m equipoise ledger verify disk/run
"""


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", ["4k", "24k", "60k", "150k", "300k", "700k", "1500k"])
def test_a_full_disk_costs_time_and_nothing_else(tmp_path, kilobytes):
    if sys.platform != "linux" or os.geteuid() or shutil.which("unshare") is None:
        pytest.skip("a disk of a chosen size needs Linux and the rights of an administrator")
    (tmp_path / "protocol.toml").write_text(PROTOCOL)
    (tmp_path / "disk").mkdir()
    environment = os.environ | {
        "EQUIPOISE_CACHE": str(tmp_path / "cache"), "ROOT": str(tmp_path), "KB": str(int(kilobytes[:-1]) * 1024),
        "PYTHON": sys.executable,
    }  # fmt: skip
    ended = subprocess.run(
        ["unshare", "--mount", "sh", "-c", SCRIPT], env=environment, capture_output=True, text=True, check=False
    )
    codes = [line.split() for line in ended.stdout.splitlines() if line[:1].isdigit()]
    assert len(codes) == 3, (ended.stdout, ended.stderr)
    assert codes[-1][1] == "0", (codes, (tmp_path / f"said-{codes[-1][0]}").read_text()[-1500:])
    assert "verified" in ended.stdout, ended.stdout
    for size, code in codes[:-1]:
        said = (tmp_path / f"said-{size}").read_text()
        assert code in ("0", "1", "75"), (size, code, said)
        assert "Traceback" not in said
        assert code == "0" or said.strip().splitlines()[-1].startswith("equipoise: "), said
