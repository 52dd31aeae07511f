from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from equipoise import optimizers
from equipoise.errors import ProtocolError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop import preflight as module
from equipoise.training.loop.arm import defaults_of
from equipoise.training.loop.preflight import forecast, preflight

NETS = """
import torch
from torch import nn

class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims):
        super().__init__(nn.Conv2d(in_channels, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.LazyLinear(out_channels))
        self(torch.zeros(2, in_channels, 8, 8))

class Wide(Net):
    def forward(self, x):
        return super().forward(x)[:, :, None]

class Softmax(Net):
    def forward(self, x):
        return super().forward(x).softmax(1)

class SoftmaxWhenAsked(Net):
    def forward(self, x):
        return super().forward(x) if self.training else super().forward(x).softmax(1)

class Sigmoid(Net):
    def forward(self, x):
        return super().forward(x).sigmoid()

class LogSoftmax(Net):
    def forward(self, x):
        return super().forward(x).log_softmax(1)

class Across(Net):
    def forward(self, x):
        z = super().forward(x)
        return z + 0.1 * z.mean(0)

class Counting(Net):
    def forward(self, x):
        return super().forward(x) * len(x)

class Placed(Net):
    def forward(self, x):
        return super().forward(x) + torch.arange(len(x))[:, None]

class Random(Net):
    def forward(self, x):
        return super().forward(torch.dropout(x, 0.5, True))

def not_a_model(in_channels, out_channels, spatial_dims):
    return 3

def sulky(in_channels, out_channels, spatial_dims):
    raise ValueError("no such depth")
"""

RULES = """
import torch

class Forgetful(torch.optim.SGD):
    def __init__(self, params, lr=1e-3):
        super().__init__(params, lr=lr)
        self.mine = {}

    def step(self, closure=None):
        for group in self.param_groups:
            for param in group["params"]:
                param.grad.add_(self.mine.setdefault(id(param), torch.zeros_like(param)))
                self.mine[id(param)] = param.grad.clone()
        return super().step(closure)

class Repeated(torch.optim.Adam):
    def step(self, closure):
        for _ in range(7):
            with torch.enable_grad():
                loss = closure()
            super().step()
        return loss

class HalfDead(torch.optim.SGD):
    def step(self, closure=None):
        for param in self.param_groups[0]["params"][1::2]:
            param.grad = None
        return super().step(closure)
"""


@pytest.fixture
def job(tmp_path):
    (tmp_path / "nets_for_preflight.py").write_text(NETS)
    (tmp_path / "rules_for_preflight.py").write_text(RULES)
    arm = Arm.model_validate({"name": "net", "model": "nets_for_preflight:Net"})
    places = (tmp_path / "jobs", tmp_path, tmp_path)
    return Job(arm, 0, 0, *places, "classification", ("x", "y"), 1, 2, TrainingSection(), {}, "auc")


@pytest.fixture
def samples():
    images = np.random.default_rng(0).random((6, 1, 8, 8), dtype=np.float32)
    names = tuple("abcdef")
    return Samples(images, np.arange(6) % 2, names, names)


def with_arm(job, **arm):
    return replace(job, arm=Arm.model_validate({"name": "net", "model": "nets_for_preflight:Net"} | arm))


def test_default_settings_are_those_of_the_signatures(job, samples):
    """By torch.optim.Adam's documentation: eps = 1e-8, betas = (0.9, 0.999); whoever writes one out changes nothing."""
    built_in = defaults_of(with_arm(job, model="unet", optimizer="Adam"))
    assert built_in["optimizer"].items() >= {"lr": 1e-3, "eps": 1e-8, "betas": (0.9, 0.999), "weight_decay": 0}.items()
    assert built_in["model"]["preset"] == "small"
    own = preflight(([with_arm(job, optimizer="adam")], samples))["arm_defaults"]["net"]
    assert own["model"] == {}, "no setting of its own"
    assert own["optimizer"] == built_in["optimizer"]


@pytest.mark.parametrize(("name", "count"), [("adam", 1), ("SAM", 2), ("rules_for_preflight:Repeated", 7)])
def test_the_gradients_of_an_update_are_counted_before_the_plan_is_locked(job, samples, name, count):
    tried = with_arm(job, optimizer=name)
    assert preflight(([tried], samples))["gradient_evaluations"] == {"net": count}
    assert forecast((tried, samples, 32, 8)).gradient_evaluations == count


@pytest.mark.parametrize("name", optimizers.__all__)
def test_every_optimizer_takes_its_first_step(job, samples, name):
    record = preflight(([with_arm(job, optimizer=name)], samples))
    assert list(record["code"]) == ["nets_for_preflight:Net"]
    assert record["device"]


@pytest.mark.parametrize(
    ("arm", "sentence"),
    [
        (
            {"model": "nets_for_preflight:Wide"},
            r"returns shape \(2, 2, 1\), but classification of these images needs \(2, 2\)",
        ),
        ({"model": "nets_for_preflight:not_a_model"}, "returned a int; it must return a torch.nn.Module"),
        ({"model": "nets_for_preflight:sulky"}, "cannot be built: no such depth"),
        ({"model": {"name": "nets_for_preflight:Net", "depth": 3}}, "has no setting 'depth'"),
        ({"optimizer": {"name": "adam", "lr": -1.0}}, "cannot be built: Invalid learning rate"),
        ({"model": "nets_for_preflight:Softmax"}, "Softmax' returns probabilities.*as after a softmax; return logits"),
        ({"model": "nets_for_preflight:SoftmaxWhenAsked"}, "returns probabilities.*as after a softmax; return logits"),
        ({"model": "nets_for_preflight:Sigmoid"}, "returns probabilities.*as after a sigmoid; return logits"),
        (
            {"optimizer": "rules_for_preflight:Forgetful"},
            "optimizer 'rules_for_preflight:Forgetful' breaks the clause 'resumes bit for bit'.*in self.state",
        ),
        (
            {"optimizer": "rules_for_preflight:HalfDead"},
            r"the clause 'moves every parameter': 3 of 6 keep .*\(0.bias, 1.bias, 3.bias\)",
        ),
        ({"model": "nets_for_preflight:Across"}, "Across' answers an image differently .* other images beside it"),
        ({"model": "nets_for_preflight:Counting"}, "differently in evaluation without a batch around it"),
        ({"model": "nets_for_preflight:Placed"}, "differently in evaluation at another place in the batch"),
        ({"model": "nets_for_preflight:Random"}, "differently in evaluation when it is called again"),
        ({"optimizer": {"name": "adamm"}}, "optimizer 'adamm' is unknown; did you mean 'adam'"),
    ],
)
def test_what_cannot_train_is_named_with_its_arm(job, samples, arm, sentence):
    with pytest.raises(ProtocolError, match=sentence) as caught:
        preflight(([with_arm(job, **arm)], samples))
    assert str(caught.value).startswith("arm 'net'")
    assert "\n" not in str(caught.value)


def test_logarithms_of_probabilities_are_logits(job, samples):
    assert preflight(([with_arm(job, model="nets_for_preflight:LogSoftmax")], samples))["code"]


def test_an_unknown_augmentation_is_told_before_training(job, samples):
    with pytest.raises(ProtocolError, match="augmentation.rotat' is unknown; did you mean 'rotate_degrees'"):
        preflight(([replace(job, augmentation={"rotat": 3})], samples))


def test_the_forecast_grows_with_the_cases(job, samples):
    few, many = (forecast((job, samples, cases, 8)) for cases in (32, 32_000))
    assert many.seconds > 20 * few.seconds
    assert few.memory_mb > 50
    validated = forecast((job, samples, 32, 320_000))
    assert validated.seconds > 20 * few.seconds


def test_the_forecast_counts_training_recalibration_and_validation(job, samples, monkeypatch):
    # Of processor time, which other work on the machine does not change; the second number is of two passes.
    clock = iter([0.0, 2.0 * module.TIMED, 5.0 + module.TIMED, 9.0 + module.TIMED])
    monkeypatch.setattr(module, "time", SimpleNamespace(process_time=lambda: next(clock)))
    found = forecast((replace(job, training=TrainingSection(epochs=10)), samples, 3000, 60))
    preparing = 5.0 - module.TIMED
    assert found.seconds == pytest.approx(10 * ((2 * 3000 + preparing * 2048) / 6 + 4 * 60 / 6))
    assert (found.patch_seconds, found.answer_seconds) == (pytest.approx(2 / 6), pytest.approx(4 / 6))
