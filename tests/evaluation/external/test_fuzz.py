"""Files that were spoilt anywhere are read or refused in one sentence; nothing else is ever raised."""

import random
from pathlib import Path

import pytest

from equipoise.errors import EquipoiseError
from equipoise.evaluation.external import AuditOptions, collect

TOKENS = [
    b"nan",
    b"",
    b",",
    b"\n",
    b'"',
    b"-1",
    b"1e999",
    b"\x00",
    b"\xff",
    b"null",
    b"{}",
    b"[]",
    b"(,)",
    b"inf",
    b"0",
]


def spoilt(content: bytes, source: random.Random) -> bytes:
    data = bytearray(content)
    for _ in range(source.randint(1, 3)):
        place, kind = source.randrange(len(data) + 1), source.random()
        if kind < 0.5:
            data[place : place + source.randint(0, 6)] = source.choice(TOKENS)
        elif kind < 0.6:
            data = data[: max(place, 1)]
        elif kind < 0.8:
            start = source.randrange(len(data))
            data[place:place] = data[start : start + source.randint(1, 60)]
        else:
            data[place % len(data)] = source.randrange(256)
    return bytes(data)


def refusal(path: Path, truth: Path | None) -> str:
    """Why a file was refused, "" where it was read; anything but a refusal is raised."""
    try:
        collect([(None, path)], AuditOptions(truth=truth, cases_are_patients=True))
    except EquipoiseError as error:
        return str(error)
    return ""


@pytest.mark.long
@pytest.mark.parametrize("rounds", [25, pytest.param(1500, marks=pytest.mark.slow)])
def test_spoilt_files_are_read_or_refused(made: Path, tmp_path: Path, rounds: int) -> None:
    long = [f"a,0,c{i},p{i},{'xy'[i % 2]},0.{i % 10},0.{9 - i % 10}" for i in range(30)]
    (tmp_path / "source.csv").write_text(
        "arm,seed,case,patient,truth,score_x,score_y\n" + "\n".join(long), encoding="utf-8"
    )
    medmnist = next((made / "medmnist/pneumoniamnist").rglob("*_1.csv"))
    files: dict[str, tuple[Path, Path | None]] = {
        "summary.json": (made / "nnunet_regions/careful/summary.json", None),
        "dice_raw.csv": (made / "monai/careful/mean_dice_raw.csv", None),
        "dice.csv": (made / "monai/careful/dice.csv", None),
        "pneumoniamnist_test@1.csv": (medmnist, made / "medmnist/pneumoniamnist.npz"),
        "long.csv": (tmp_path / "source.csv", None),
        "p01_a_pred.nii.gz": (made / "masks/careful/p01_a.nii.gz", made / "masks/truth/p01_a.nii.gz"),
    }
    source = random.Random(rounds)
    for name, (file, truth) in files.items():
        for _ in range(rounds):
            (tmp_path / name).write_bytes(spoilt(file.read_bytes(), source))
            assert "\n" not in refusal(tmp_path / name, truth)
