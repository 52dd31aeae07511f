"""Weights from a local file: all of them, or a refusal that names what does not fit."""

import pickle
import re
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from equipoise.errors import EquipoiseError
from equipoise.models import DeepLab, DenseNet, UNet
from equipoise.models.pretrained import load_pretrained


def saved(model: torch.nn.Module, path: Path, **changes: torch.Tensor) -> Path:
    save_file({**model.state_dict(), **changes}, path)
    return path


def tiny(out_channels: int = 2) -> DenseNet:
    return DenseNet(1, out_channels, 2, preset="tiny")


def test_a_saved_model_comes_back_bit_for_bit(tmp_path: Path) -> None:
    source, target = tiny(), tiny()
    source(torch.randn(4, 1, 32, 32))
    names = load_pretrained(target, saved(source, tmp_path / "w.safetensors"))
    state = target.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in source.state_dict().items() if name in names)
    assert set(state) - set(names) == {n for n in state if n.endswith("num_batches_tracked")}


def test_a_new_head_keeps_its_fresh_weights(tmp_path: Path) -> None:
    path, target = saved(tiny(2), tmp_path / "w.safetensors"), tiny(5)
    fresh = target.head[0].weight.clone()
    with pytest.raises(
        EquipoiseError, match=re.escape("head.0.weight is (2, 30) in the file and (5, 30) in the model")
    ):
        load_pretrained(target, path)
    names = load_pretrained(target, path, keep=["head."])
    assert torch.equal(target.head[0].weight, fresh)
    assert not [name for name in names if name.startswith("head.")]


def test_heads_of_deep_supervision_may_be_on_one_side_alone(tmp_path: Path) -> None:
    def net(deep_supervision: bool, classes: int = 2) -> UNet:
        return UNet(1, classes, 2, channels=(2, 4, 8), deep_supervision=deep_supervision)

    for here, there in ((True, False), (False, True)):
        source, target = net(here), net(there)
        load_pretrained(target, saved(source, tmp_path / "w.safetensors"))
        assert torch.equal(target.head[0].weight, source.head[0].weight)
    with pytest.raises(EquipoiseError, match=r"coarse_heads\.0\.weight is \(2"):
        load_pretrained(net(True, 3), saved(net(True), tmp_path / "w.safetensors"))


def test_nothing_is_loaded_when_something_does_not_fit(tmp_path: Path) -> None:
    source, target = tiny(), tiny()
    state = source.state_dict()
    del state["encoder.conv0.weight"]
    state["surplus"] = torch.zeros(1)
    save_file(state, tmp_path / "w.safetensors")
    before = {name: tensor.clone() for name, tensor in target.state_dict().items()}
    with pytest.raises(EquipoiseError) as error:
        load_pretrained(target, tmp_path / "w.safetensors")
    assert "missing in the file: encoder.conv0.weight" in str(error.value)
    assert "not in the model: surplus" in str(error.value)
    assert all(torch.equal(tensor, before[name]) for name, tensor in target.state_dict().items())


def test_long_lists_of_mismatches_are_cut(tmp_path: Path) -> None:
    save_file({"other": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(EquipoiseError, match=r"and \d+ more; not in the model: other"):
        load_pretrained(tiny(), tmp_path / "w.safetensors")


def test_missing_broken_and_pickled_files_are_refused(tmp_path: Path) -> None:
    broken, pickled = tmp_path / "broken.safetensors", tmp_path / "weights.pt"
    broken.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00not a header")
    pickled.write_bytes(pickle.dumps({"encoder.conv0.weight": [1.0]}))
    for path in (tmp_path / "absent.safetensors", broken, pickled):
        with pytest.raises(EquipoiseError, match=re.escape(path.name)):
            load_pretrained(tiny(), path)


@pytest.mark.long
def test_published_names_fit_by_renaming_a_prefix(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timm = pytest.importorskip("timm", reason="needs the extra [zoo]")
    theirs = timm.create_model("densenet121", num_classes=3).eval()
    ours = DenseNet(3, 3, 2, preset="121").eval()
    rename = {"features.": "encoder.", "features.norm5.": "norm5.", "classifier.": "head.0."}
    load_pretrained(ours, saved(theirs, tmp_path / "densenet121.safetensors"), rename=rename)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images), atol=1e-5, rtol=1e-4)


@pytest.mark.long
def test_published_residual_weights_fit_deeplabs_encoder(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timm = pytest.importorskip("timm", reason="needs the extra [zoo]")
    theirs = timm.create_model("resnet18", num_classes=2).eval()
    ours = DeepLab(3, 2, 2, preset="resnet18", output_stride=32).eval()
    keep = ["encoder.fc.", "pyramid.", "refine.", "low.", "decoder.", "head."]
    load_pretrained(ours, saved(theirs, tmp_path / "r.safetensors"), rename={"": "encoder."}, keep=keep)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        torch.testing.assert_close(ours.encoder(images)[1], theirs.forward_features(images), atol=1e-4, rtol=1e-4)
