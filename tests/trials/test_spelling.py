"""Misspelt names are refused before torch is loaded, and every built-in name and setting is accepted."""

import inspect
import subprocess
import sys

import pytest

from equipoise import models, optimizers
from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol
from equipoise.trials import spelling as names

TOML = """
[cohort]
source = "lidc-contours"
task = "{task}"
[endpoints]
primary = "{primary}"
secondary = []
[[arms]]
name = "a"
model = {model}
optimizer = {optimizer}
"""


def protocol(task="classification", primary="auc", model='{name = "unet"}', optimizer='{name = "adam"}'):
    return Protocol.parse(TOML.format(task=task, primary=primary, model=model, optimizer=optimizer))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"model": '"unnet"'}, "model 'unnet' is unknown; did you mean 'unet'"),
        ({"model": '"timm"'}, '"equipoise.zoo:timm", network = "resnet10t"'),
        ({"model": '"timm:resnet18"'}, '"equipoise.zoo:timm", network = "resnet18"'),
        ({"model": '"timm.models:vit_tiny_patch16_224"'}, 'network = "vit_tiny_patch16_224"'),
        ({"model": '{name = "timm:create_model", model_name = "resnet26t"}'}, 'network = "resnet26t"'),
        ({"model": '"timm:create_model"'}, 'network = "resnet10t"'),
        ({"model": '"monai"'}, '"equipoise.zoo:monai", network = "SwinUNETR"'),
        ({"model": '"smp:UnetPlusPlus"'}, '"equipoise.zoo:smp", network = "UnetPlusPlus"'),
        ({"model": '"segmentation_models_pytorch:FPN"'}, '"equipoise.zoo:smp", network = "FPN"'),
        ({"model": '"segmentation-models-pytorch"'}, '"equipoise.zoo:smp", network = "Unet"'),
        ({"model": '{name = "unet", presett = "tiny"}'}, "no setting 'presett'; did you mean 'preset'"),
        ({"model": '{name = "densenet", preset = "12l"}'}, "no preset '12l'; did you mean '121'"),
        ({"optimizer": '"adm"'}, "optimizer 'adm' is unknown; did you mean 'adam'"),
        ({"optimizer": '{name = "lion", momentun = 1}'}, "no setting 'momentun'"),
        ({"primary": "aucc"}, "endpoint 'aucc' is unknown"),
        ({"task": "segmentation", "primary": "dicee"}, "endpoint 'dicee' is unknown; did you mean 'dice'"),
        ({"task": "detection", "primary": "cpn"}, "unknown in detection; did you mean 'cpm'"),
    ],
)
def test_the_first_misspelt_name_is_refused(given, complaint):
    with pytest.raises(ProtocolError, match=complaint):
        names.refuse_misspelt(protocol(**given))


@pytest.mark.parametrize(
    "given",
    [
        {"model": '{name = "dense_net", preset = "121", dropout = 0.1}'},
        {"model": '{name = "unet", preset = "auto"}'},
        {"model": '{name = "equipoise.zoo:timm", network = "resnet10t"}'},
        {"model": '"monai.networks.nets:BasicUNet"'},
        {"model": '"mine:Net"', "optimizer": '"mine:Rule"'},
        {"optimizer": '{name = "sgd", lr = 0.1, momentum = 0.9}'},
        {"optimizer": '{name = "momentum", dampening = 0.1}'},
        {"primary": "sensitivity@0.90"},
        {"task": "segmentation", "primary": "hd95_core"},
        {"task": "detection", "primary": "average_precision"},
    ],
)
def test_what_a_trial_accepts_is_not_refused(given):
    names.refuse_misspelt(protocol(**given))


@pytest.mark.parametrize("package", [models, optimizers], ids=["models", "optimizers"])
def test_names_and_settings_read_from_source_are_those_of_the_objects(package):
    short = package.__name__.rpartition(".")[2]
    assert set(names.public_names(short)) == set(package.__all__)
    for name in package.__all__:
        source = names._source(short, name)
        if source is None or source[0] is None:
            continue
        parameters = inspect.signature(getattr(package, name)).parameters
        assert set(source[0]) == set(parameters) - set(names._GIVEN) - {"unknown"}


@pytest.mark.long
def test_a_typo_loads_no_torch(tmp_path):
    file = tmp_path / "p.toml"
    file.write_text(TOML.format(task="classification", primary="auc", model='"unnet"', optimizer='"adam"'))
    script = (
        "import sys; from equipoise.cli import main\n"
        f"assert main(['run', {str(file)!r}]) == 1\n"
        "assert not {'torch', 'scipy', 'nibabel'} & set(sys.modules), sorted(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "did you mean 'unet'" in result.stderr


OWN = """
import torch
from elsewhere import Imported as Renamed

try:
    import fast
except ImportError:
    fast = None
if torch:
    class SignDecay(torch.optim.SGD):
        pass
made = [Inner := lambda: 1]
raise RuntimeError("this file must not run")
"""


def own(tmp_path, optimizer, text=OWN):
    (tmp_path / "rules_for_spelling.py").write_text(text)
    return Protocol.parse(
        TOML.format(task="classification", primary="auc", model='"unet"', optimizer=f'"{optimizer}"'), "p", tmp_path
    )


def test_a_misspelt_name_of_own_code_is_refused_before_it_runs(tmp_path):
    with pytest.raises(ProtocolError, match="rules_for_spelling has no 'SignDecy'; did you mean 'SignDecay'"):
        names.refuse_misspelt(own(tmp_path, "rules_for_spelling:SignDecy"))
    for name in ("SignDecay", "Renamed", "fast", "made", "Inner"):
        names.refuse_misspelt(own(tmp_path, f"rules_for_spelling:{name}"))


def test_where_code_is_refused_its_names_are_no_matter(tmp_path, monkeypatch):
    monkeypatch.setenv("EQUIPOISE_NO_CODE", "1")
    names.refuse_misspelt(own(tmp_path, "rules_for_spelling:SignDecy"))


@pytest.mark.parametrize("text", ["from torch.optim import *\n", 'globals()["Rule"] = int\n', "def broken(:\n"])
def test_what_cannot_be_read_is_left_to_the_import(tmp_path, text):
    names.refuse_misspelt(own(tmp_path, "rules_for_spelling:Rule", text))
