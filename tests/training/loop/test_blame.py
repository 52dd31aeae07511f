"""What is the machine's fault is told from what is the arm's."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.training.loop.blame import named_arm, of_the_arm, out_of_memory


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (OSError("No space left on device"), False),
    ],
)
def test_memory_that_ran_out_is_recognised(error, memory):
    assert out_of_memory(error) == memory


def test_an_error_belongs_to_the_arm_whose_code_it_passed_through(tmp_path, monkeypatch):
    (tmp_path / "own_net_for_blame.py").write_text("def read():\n    return open('/not/there')\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("own_net_for_blame")
    named = SimpleNamespace(name="own_net_for_blame:Net")
    job = SimpleNamespace(
        arm=SimpleNamespace(model=named, optimizer=SimpleNamespace(name="adam"), nnunet=None),
        training=SimpleNamespace(loss="dice"),
        task="segmentation",
        own=(),
        members=(),
        code=tmp_path / "elsewhere",
    )
    with pytest.raises(OSError, match="there") as raised:
        module.read()
    assert of_the_arm(raised.value, job)
    job.arm.model = SimpleNamespace(name="unet")
    assert not of_the_arm(raised.value, job)
    job.code = tmp_path  # a helper beside the protocol
    assert of_the_arm(raised.value, job)
    with pytest.raises(OSError, match="there") as raised:
        Path("/not/there").read_bytes()
    assert not of_the_arm(raised.value, job)
    del sys.modules["own_net_for_blame"]


@pytest.mark.parametrize(
    ("raised", "kind", "sentence"),
    [
        (EquipoiseError("its mask is empty"), ProtocolError, "arm 'a': its mask is empty"),
        (ValueError("no\nsecond line"), ProtocolError, "arm 'a' cannot train (ValueError: no); correct its model"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), MemoryError, "DefaultCPUAllocator: can't all"),
    ],
)
def test_what_a_tried_arm_raises_is_one_sentence_and_lack_of_memory_is_none_of_it(raised, kind, sentence):
    with pytest.raises(kind) as refusal, named_arm("a", "cannot train", "correct its model"):
        raise raised
    assert str(refusal.value).startswith(sentence)
    assert refusal.value.__cause__ is raised


def test_a_network_of_one_image_size_is_told_both_cures():
    cures = r"img_size = 24 in its table, if .*preprocessing.size = \[224, 224\]"
    with pytest.raises(ProtocolError, match=cures), named_arm("vit", "cannot train", "correct its model"):
        raise AssertionError("Input height (24) doesn't match model (224).")
    with pytest.raises(ProtocolError, match="correct its model"), named_arm("vit", "cannot train", "correct its model"):
        raise AssertionError("Input height (24) is odd")
