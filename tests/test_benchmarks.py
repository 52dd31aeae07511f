import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def test_the_benchmark_of_statistics_does_not_hide_pythons_own_module():
    script = (FOLDER / "statistics.py").read_text(encoding="utf-8").partition("\nimport argparse")[0]
    script += f"\nimport statistics\nassert {str(FOLDER)!r} not in statistics.__file__, statistics.__file__"
    beside = f"import sys; sys.path.insert(0, {str(FOLDER)!r})\n{script}"
    ran = subprocess.run([sys.executable, "-I", "-c", beside], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.long
def test_a_benchmark_runs_from_its_folder():
    ran = subprocess.run(
        [sys.executable, FOLDER / "statistics.py", "--help"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
