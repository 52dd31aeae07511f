"""Numbers and arrays pass; what would run code is refused by name before it runs."""

import pickle

import numpy as np
import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.training.external.plain_pickles import refuse_code

PLAIN = {"spacing": [1.0, 2.0], "best": np.float64(0.5), "count": np.int64(3), "shape": (3, 4), "mean": np.arange(3.0)}


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def written(folder, kind, content):
    if kind == "pkl":
        (folder / "case.pkl").write_bytes(pickle.dumps(content))
    else:
        torch.save({"weights": {"a": torch.ones(2)}, "logging": content}, folder / "checkpoint.pth")


@pytest.mark.parametrize("kind", ["pkl", "pth"])
def test_numbers_pass(tmp_path, kind):
    written(tmp_path, kind, PLAIN)
    refuse_code(tmp_path)


@pytest.mark.parametrize("kind", ["pkl", "pth"])
def test_code_is_refused_and_does_not_run(tmp_path, kind):
    trap = tmp_path / "ran"
    written(tmp_path, kind, PLAIN | {"x": Trap(trap)})
    with pytest.raises(EquipoiseError, match=r"calls .*open, which numbers do not need; remove the folder of its job"):
        refuse_code(tmp_path)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["case.pkl", "checkpoint.pth"])
def test_a_damaged_file_is_one_sentence(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04nonsense")
    with pytest.raises(EquipoiseError, match="is damaged"):
        refuse_code(tmp_path)
