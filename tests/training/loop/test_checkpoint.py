import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from equipoise.atomic_write import write_atomic, write_json
from equipoise.errors import EquipoiseError
from equipoise.training.loop.checkpoint import load_latest, load_undamaged, pack, save, unpack


def state(number):
    return {
        "model": {"weight": torch.full((3, 2), float(number)), "steps": torch.tensor(number)},
        "optimizer": {
            "state": {0: {"exp_avg": torch.ones(2, dtype=torch.bfloat16)}},
            "groups": [{"betas": (0.9, 0.999)}],
        },
        "note": [None, True, 1, 2.5, "x"],
        "empty": {},
    }


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and a == b


def test_what_is_saved_comes_back_with_types_and_bits(tmp_path):
    save(tmp_path, 1, state(1))
    assert equal(load_latest(tmp_path), state(1))


def test_integer_keys_survive_json():
    tensors = {}
    assert equal(unpack(pack({0: 1, "0": 2}, tensors), tensors), {0: 1, "0": 2})


@pytest.mark.parametrize(
    ("layout", "shape"), [(torch.channels_last, (2, 3, 4, 5)), (torch.channels_last_3d, (2, 3, 2, 4, 5))]
)
def test_the_order_in_memory_survives(tmp_path, layout, shape):
    tensor = torch.rand(shape).contiguous(memory_format=layout)
    save(tmp_path, 1, {"weight": tensor, "plain": torch.rand(shape)})
    found = load_latest(tmp_path)
    assert found["weight"].stride() == tensor.stride()
    assert torch.equal(found["weight"], tensor)
    assert found["plain"].is_contiguous()


def test_foreign_objects_are_refused():
    with pytest.raises(EquipoiseError, match="cannot hold the set at a"):
        pack({"a": {1}}, {})


def test_only_the_last_two_are_kept(tmp_path):
    for number in range(5):
        save(tmp_path, number, state(number))
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["000003.json", "000004.json"]
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize("damage", ["tensors", "json", "missing", "truncated"])
def test_a_damaged_newest_one_costs_one_step(tmp_path, damage):
    save(tmp_path, 1, state(1))
    save(tmp_path, 2, state(2))
    tensors = tmp_path / "000002.safetensors"
    if damage == "tensors":
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif damage == "json":
        (tmp_path / "000002.json").write_text("{")
    elif damage == "missing":
        tensors.unlink()
    else:
        tensors.write_bytes(tensors.read_bytes()[:100])
    assert equal(load_latest(tmp_path), state(1))


def test_none_there(tmp_path):
    assert load_latest(tmp_path / "nowhere") is None


def test_a_failed_write_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"old": 1})

    def fails(path):
        path.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(tmp_path / "a.json", fails)
    assert "old" in (tmp_path / "a.json").read_text()


WRITER = """
import sys, torch
from pathlib import Path
from equipoise.training.loop.checkpoint import save
print("ready", flush=True)
number = 0
while True:
    number += 1
    save(Path(sys.argv[1]), number, {"weight": torch.full((200_000,), float(number)), "number": number})
"""


@pytest.mark.long
def test_kill_9_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    for attempt in range(3):
        folder = tmp_path / str(attempt)
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.1 + 0.137 * attempt)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        found = load_latest(folder)
        assert found is not None
        assert torch.equal(found["weight"], torch.full((200_000,), float(found["number"])))


@pytest.mark.long
def test_no_flipped_bit_of_the_description_loads_another_state(tmp_path):
    """100 bits, spread over the newest description: the state is the same, or the one before is taken and said."""
    for number in (1, 2):
        save(tmp_path, number, state(number))
    description = tmp_path / "000002.json"
    content = description.read_bytes()
    taken_before = 0
    for place in range(0, 8 * len(content), 8 * len(content) // 100 + 1):
        flipped = bytearray(content)
        flipped[place // 8] ^= 1 << place % 8
        description.write_bytes(flipped)
        loaded, damaged = load_undamaged(tmp_path)
        assert equal(loaded, state(2 if not damaged else 1))
        assert damaged in ([], ["000002"])
        taken_before += bool(damaged)
    assert taken_before > 80


def test_a_description_of_before_without_a_hash_of_its_own_is_read(tmp_path):
    save(tmp_path, 1, state(1))
    description = tmp_path / "000001.json"
    content = json.loads(description.read_text())
    del content["state_sha256"]
    description.write_text(json.dumps(content))
    assert equal(load_latest(tmp_path), state(1))
