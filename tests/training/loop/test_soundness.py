"""Every layer that an arm will call is tried; presets train alike on whatever freed memory holds."""

import numpy as np
import pytest
import torch

from equipoise import models
from equipoise.errors import EquipoiseError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.learner.routes import apply_routes, routes_for
from equipoise.training.loop import soundness
from equipoise.training.loop.layer_calls import Call, traced
from equipoise.training.loop.layer_trial import PATTERNS, fault_of, poison
from equipoise.training.loop.soundness import try_layers, verdict_key

LAST = {2: torch.channels_last, 3: torch.channels_last_3d}


@pytest.fixture
def fields(tmp_path):
    """The request of a tiny classifier on six images."""
    draws = np.random.default_rng(0)
    names = tuple(f"c{n}" for n in range(6))
    samples = Samples(draws.normal(size=(6, 1, 8, 8)).astype(np.float32), np.arange(6) % 2, names, names)
    arm = Arm.model_validate(
        {"name": "net", "model": {"name": "unet", "channels": [4, 8]}, "optimizer": {"name": "sgd"}}
    )
    job = Job(
        arm,
        0,
        0,
        tmp_path,
        tmp_path,
        tmp_path,
        "classification",
        ("a", "b"),
        1,
        2,
        TrainingSection(batch_size=4),
        {},
        "auc",
    )
    facts = {"training_cases": 6, "other_cases": (3, 3), "verdicts": {}, "log": tmp_path / "log"}
    return {"job": job, "samples": samples, **facts}


@pytest.mark.long
def test_a_sound_arm_has_no_routes_and_its_verdicts_are_kept(fields):
    outcome = try_layers(fields)
    assert outcome["unsound"] == []
    assert set(outcome["verdicts"].values()) == {""}
    assert set(outcome["shared"]) == set(outcome["verdicts"])
    before = fields["log"].read_text()
    again = try_layers(fields | {"verdicts": outcome["verdicts"]})
    assert again["unsound"] == []
    assert '"trying"' not in fields["log"].read_text()[len(before) :]  # nothing was computed twice


@pytest.mark.long
def test_a_verdict_that_is_known_decides(fields):
    verdicts = try_layers(fields)["verdicts"]
    key = next(iter(verdicts))
    worse = try_layers(fields | {"verdicts": verdicts | {key: "it ends the process"}})
    assert [(row["fault"], row["route"]) for row in worse["unsound"]] == [("it ends the process", "contiguous")]
    call = key.split(":")[0]
    assert verdict_key(call, "float32", None) == key
    assert worse["verdicts"][verdict_key(call, "float32", "contiguous")] == ""


def test_layers_that_are_called_alike_are_all_routed():
    """Two equal convolutions in a row: a fault of the first is one of the second."""
    model = torch.nn.Sequential(*(torch.nn.Conv2d(4, 4, 3, padding=1) for _ in range(2)), torch.nn.Conv2d(4, 2, 1))
    announced = []
    calls = traced(model, [lambda: model(torch.randn(2, 4, 8, 8))], announced.append)
    assert [call.name for call in calls] == ["0", "1", "2"]
    assert calls[0].key != calls[1].key, "the image wants no gradient"
    calls = traced(model, [lambda: model(torch.randn(2, 4, 8, 8, requires_grad=True))], announced.append)
    assert calls[0].key == calls[1].key != calls[2].key
    assert [call.name for call in announced] == ["0", "1", "2", "0", "2"]


def settled(fields, faults):
    """What `_Tries` decides for one call of a layer with these verdicts; nothing is computed."""
    tries = soundness._Tries(soundness.Request(**fields), torch.channels_last)
    call = Call("first", torch.nn.Conv2d(1, 1, 1), (), {}, True, "k", shared=True)
    tries.verdicts = {verdict_key("k", "float32", route): fault for route, fault in faults.items()}
    tries.settle(call)
    return list(tries.unsound.values())


def test_the_first_sound_route_is_taken(fields):
    assert settled(fields, {None: ""}) == []
    assert settled(fields, {None: "it fails (TypeError: x)"}) == []
    row = {"layer": "first", "fault": "it is wrong", "route": "contiguous"}
    assert settled(fields, {None: "it is wrong", "contiguous": ""}) == [row]
    assert settled(fields, {None: "it is wrong", "contiguous": "too", "float64": ""}) == [row | {"route": "float64"}]
    with pytest.raises(EquipoiseError, match=r"arm 'net'.*the layer 'first' wrongly \(it is wrong\)"):
        settled(fields, {None: "it is wrong", "contiguous": "too", "float64": "as well"})


def network(name, dims, task, preset):
    torch.manual_seed(0)
    sides = {"published": 64, "fc56": 64, "fc67": 64, "fc103": 64}.get(preset, 32)
    model = getattr(models, name)(1, 2, dims, task=task, preset=preset).to(memory_format=LAST[dims])
    shape = (2, 1, *(sides if dims == 2 else min(sides, 32),) * dims)
    return model, torch.randn(shape).contiguous(memory_format=LAST[dims])


def trained(model, images, precision, pattern):
    """The weights after two updates, with freed memory filled before each pass."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    for _ in range(2):
        optimizer.zero_grad()
        poison(pattern, [1 << k for k in range(6, 21)])
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            answer = model(images)
        poison(pattern, [1 << k for k in range(6, 21)])
        answer.float().square().mean().backward()
        optimizer.step()
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


PRESETS = [("UNet", preset) for preset in ("tiny", "small")]
PRESETS += [("DeepLab", preset) for preset in ("tiny", "small", "resnet18")]
PRESETS += [("DenseNet", preset) for preset in ("tiny", "small", "121")]
ALL = [*PRESETS, ("UNet", "basic"), ("DeepLab", "resnet34"), ("DeepLab", "resnet50"), ("DenseNet", "fc56")]


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(("name", "preset"), ALL)
def test_every_preset_trains_to_equal_bits_on_poisoned_memory(name, preset, dims, precision):
    task = "segmentation" if preset.startswith("fc") else "classification"
    if dims == 3 and preset in ("fc56", "resnet34", "resnet50", "121", "basic"):
        pytest.skip("too large for a test in three dimensions")
    model, images = network(name, dims, task, preset)
    half = precision == "bfloat16"

    def answer():
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            model.train()(images)

    routes, ways = {}, {}
    for call in traced(model, [answer]):
        if call.key not in ways:
            tried = (
                way for way in (None, *routes_for(precision)) if fault_of(call, precision, way, LAST[dims]) is None
            )
            ways[call.key] = next(tried)
        if ways[call.key] is not None:
            routes[call.name] = ways[call.key]
    ends = []
    for pattern in PATTERNS:
        model, images = network(name, dims, task, preset)
        apply_routes(model, routes.items(), LAST[dims])
        ends.append(trained(model, images, precision, pattern))
    assert all(torch.equal(value, ends[1][key]) for key, value in ends[0].items())
    assert all(bool(value.isfinite().all()) for value in ends[0].values())
