"""Networks of other packages as models of a protocol."""

import importlib

import pytest

from equipoise import zoo
from equipoise.errors import ProtocolError
from equipoise.testing import check_model


@pytest.mark.parametrize(
    ("spelt", "task", "dims"),
    [
        ({"name": "equipoise.zoo:timm", "network": "resnet10t"}, "classification", 2),
        (
            {
                "name": "equipoise.zoo:monai", "network": "UNet", "channels": [4, 8, 16], "strides": [2, 2],
                "norm": "BATCH",
            },
            "segmentation",
            3,
        ),
    ],
    ids=["timm", "monai"],
)  # fmt: skip
@pytest.mark.long
def test_a_network_keeps_the_contract_of_models(spelt, task, dims):
    pytest.importorskip(spelt["name"].rpartition(":")[2], reason="the extra [zoo] is not installed")
    report = check_model(spelt, tasks=task, spatial_dims=dims, odd_sizes=task == "classification", size=32)
    assert {(row[1], row[2]) for row in report.clauses} == {(task, dims)}


@pytest.mark.slow
def test_a_segmenter_of_smp_keeps_the_contract():
    pytest.importorskip("segmentation_models_pytorch", reason="the extra [zoo] is not installed")
    spelt = {"name": "equipoise.zoo:smp", "network": "Unet", "encoder_name": "resnet18", "encoder_weights": "none"}
    check_model(spelt, tasks="segmentation", spatial_dims=2, odd_sizes=False, size=64)


@pytest.mark.parametrize("name", ["timm", "monai", "smp"])
def test_a_missing_package_is_one_sentence(name, monkeypatch):
    def missing(module):
        raise ImportError(f"No module named {module!r}")

    monkeypatch.setattr(zoo, "import_module", missing)
    with pytest.raises(ProtocolError, match=r"pip install 'equipoise\[zoo\]'"):
        getattr(zoo, name)(1, 2, 2, network="x")


class FakeTimm:
    """What is used of timm; the real one takes seconds to load."""

    made = None

    def is_model(self, name):
        return name == "resnet18"

    def list_models(self):
        return ["resnet18", *(f"net{n}" for n in range(500))]

    def create_model(self, name, **settings):
        return name, settings


def test_settings_are_passed_on_and_nothing_is_downloaded(monkeypatch):
    monkeypatch.setattr(zoo, "import_module", lambda _name: FakeTimm())
    made = zoo.timm(3, 2, 2, network="resnet18", drop_rate=0.1)
    assert made == ("resnet18", {"in_chans": 3, "num_classes": 2, "drop_rate": 0.1})
    with pytest.raises(ProtocolError, match="did you mean 'resnet18'") as refused:
        zoo.timm(3, 2, 2, network="resnet8")
    assert len(str(refused.value)) < 500
    assert "`equipoise list models timm:WORD`" in str(refused.value)
    with pytest.raises(ProtocolError, match="opens no connection"):
        zoo.timm(3, 2, 2, network="resnet18", pretrained=True)
    with pytest.raises(ProtocolError, match="leave out 'in_chans': channels, classes and network"):
        zoo.timm(3, 2, 2, network="resnet18", in_chans=1)
    with pytest.raises(ProtocolError, match="two dimensions"):
        zoo.timm(3, 2, 3, network="resnet18")


def test_settings_of_monai_are_checked():
    class Net:
        def __init__(self, spatial_dims, in_channels, num_classes, width=(1,)):
            self.given = (spatial_dims, in_channels, num_classes, width)

    assert zoo._called(Net, "monai's Net", 1, 2, 3, {"width": [4, 8]}).given == (3, 1, 2, (4, 8))
    with pytest.raises(ProtocolError, match="did you mean 'width'"):
        zoo._called(Net, "monai's Net", 1, 2, 3, {"widht": 4})
    with pytest.raises(ProtocolError, match="takes no in_channels"):
        zoo._called(lambda x: x, "monai's f", 1, 2, 3, {})
    with pytest.raises(ProtocolError, match="leave out 'num_classes'"):
        zoo._called(Net, "monai's Net", 1, 2, 3, {"num_classes": 4})


def test_a_module_of_that_name_beside_the_protocol_is_the_users_own(tmp_path):
    with pytest.raises(ProtocolError, match="equipoise.zoo:smp"):
        zoo.refuse_without_adapter("smp:Net", {}, tmp_path)
    (tmp_path / "smp.py").touch()
    zoo.refuse_without_adapter("smp:Net", {}, tmp_path)


@pytest.mark.long
def test_check_model_names_the_adapter_too():
    with pytest.raises(ProtocolError, match=r'"equipoise.zoo:timm", network = "resnet10t"'):
        check_model("timm:resnet10t")


def test_the_names_are_those_of_the_documentation():
    assert all(name in zoo.__doc__ for name in (f"equipoise.zoo:{one}" for one in zoo.__all__))
    assert importlib.util.find_spec("equipoise.zoo") is not None
