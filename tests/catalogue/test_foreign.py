"""Networks of other packages, listed and refused without importing any of them."""

import subprocess
import sys

import pytest

from equipoise import cli
from equipoise.catalogue import foreign
from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.protocol import Protocol
from equipoise.trials.spelling import refuse_misspelt

MODELS = """
from ._registry import register_model, register_model_deprecations

@register_model
def resnet_mini(pretrained=False, **kwargs):
    return None

@register_model
@wrapped
def vit_mini(pretrained=False, **kwargs):
    return None

def helper(x):
    return x

register_model_deprecations(__name__, {'old_resnet': 'resnet_mini'})
"""
TEXT = """
[cohort]
source = "phantom"
[[arms]]
name = "a"
model = {{name = "equipoise.zoo:timm", network = "{network}"}}
"""


@pytest.fixture
def timm(tmp_path, monkeypatch):
    """A package named timm in place of the installed one; its import would fail."""
    (tmp_path / "timm/models").mkdir(parents=True)
    (tmp_path / "timm/__init__.py").write_text("raise RuntimeError('imported')\n")
    (tmp_path / "timm/models/nets.py").write_text(MODELS)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    foreign.networks.cache_clear()
    yield
    foreign.networks.cache_clear()


@pytest.mark.usefixtures("timm")
def test_networks_are_those_that_a_package_registers(capsys):
    assert foreign.listed("timm", "") == ["resnet_mini", "vit_mini"]
    assert cli.main(["list", "models", "timm:VIT"]) == 0
    assert capsys.readouterr().out == "vit_mini\n"
    assert cli.main(["list", "models", "timm"]) == 0
    assert "equipoise list models timm: (2)" in capsys.readouterr().out
    assert cli.main(["list", "models", "timm:resnut"]) == 1
    assert "did you mean 'resnet_mini'?" in capsys.readouterr().err


@pytest.mark.usefixtures("timm")
def test_a_misspelt_network_is_refused_before_data_are_read(monkeypatch):
    for network in ("resnet_mini", "vit_mini.augreg_in21k", "old_resnet"):
        refuse_misspelt(Protocol.parse(TEXT.format(network=network)))
    with pytest.raises(ProtocolError, match=r"timm has no network 'resnet_min'; did you mean 'resnet_mini'\?"):
        refuse_misspelt(Protocol.parse(TEXT.format(network="resnet_min")))
    assert not any(
        name.partition(".")[0] == "timm" and "imported" in repr(module) for name, module in sys.modules.items()
    )


def test_a_package_that_is_missing_is_named_at_once_with_the_command_of_this_python(monkeypatch, capsys):
    monkeypatch.setattr(foreign, "folder_of", lambda _adapter: None)
    foreign.networks.cache_clear()
    with pytest.raises(
        ProtocolError, match=r"timm is not installed; install it with .* -m pip install 'equipoise\[zoo"
    ):
        refuse_misspelt(Protocol.parse(TEXT.format(network="resnet18")))
    with pytest.raises(EquipoiseError, match="segmentation-models-pytorch is not installed"):
        foreign.listed("smp", "")
    assert cli.main(["list", "models", "timm"]) == 0
    assert f"{sys.executable} -m pip install" in " ".join(capsys.readouterr().out.split())
    foreign.networks.cache_clear()


def test_an_adapter_that_there_is_not_is_refused():
    with pytest.raises(EquipoiseError, match="name timm, monai, smp"):
        foreign.listed("keras", "")


@pytest.mark.slow
@pytest.mark.parametrize("adapter", list(foreign.PACKAGES))
def test_the_names_in_the_files_are_those_of_the_package(adapter):
    """Against the packages themselves: none is lacking, and none is refused that they know."""
    package, _ = foreign.PACKAGES[adapter]
    pytest.importorskip(package, reason="the extra [zoo] is not installed")
    ask = {
        "timm": "import timm; print(*timm.list_models())",
        "monai": "import inspect, monai.networks.nets as n; print(*(k for k in dir(n) "
        "if inspect.isclass(getattr(n, k)) and k[0].isupper() and getattr(n, k).__module__.startswith(n.__name__)))",
        "smp": "import inspect, segmentation_models_pytorch as s; print(*(k for k in dir(s) "
        "if inspect.isclass(getattr(s, k)) and issubclass(getattr(s, k), s.base.SegmentationModel)))",
    }[adapter]
    made = subprocess.run([sys.executable, "-W", "ignore", "-c", ask], check=True, capture_output=True, text=True)
    known = set(made.stdout.split())
    assert len(known) > 10
    assert known <= set(foreign.networks(adapter))
