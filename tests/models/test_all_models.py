"""What holds for every built-in network: the contract, 3D as the extension of 2D, numbers, formats, export."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from equipoise import models
from equipoise.models import DeepLab, DenseNet, LateFusion, UNet
from equipoise.models.deeplab import PRESETS as DEEPLABS
from equipoise.models.densenet import PRESETS as DENSENETS
from equipoise.models.fusion import ENCODERS, FUSIONS
from equipoise.models.unet import PRESETS as UNETS
from equipoise.testing import check_model

SINGLE = [UNet, DeepLab, DenseNet]
EVERY = [*SINGLE, LateFusion]
TASKS = ["classification", "segmentation"]
SMALL = {3: (24, 24, 24)}
"""Volumes for the tiny presets, where 48-pixel images stay the default."""
PUBLISHED = [
    (factory, preset)
    for factory, presets in ((UNet, UNETS), (DeepLab, DEEPLABS), (DenseNet, DENSENETS))
    for preset in presets
    if preset not in ("tiny", "small")
]


def images(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(factory: Callable[..., nn.Module], *args: object, **settings: object) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return factory(*args, **settings)


def test_the_room_offers_exactly_these_models() -> None:
    assert models.__all__ == ["DeepLab", "DenseNet", "LateFusion", "UNet"]


@pytest.mark.long
@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("factory", SINGLE)
def test_contract_of_small_presets(factory: Callable[..., nn.Module], preset: str) -> None:
    assert len(check_model(factory, settings={"preset": preset}).clauses) == 40


@pytest.mark.long
@pytest.mark.parametrize(
    "settings",
    [
        {"normalization": "instance"},
        {"normalization": "group"},
        {"activation": "gelu", "dropout": 0.2},
    ],
    ids=str,
)
@pytest.mark.parametrize("factory", SINGLE)
def test_contract_of_settings(factory: Callable[..., nn.Module], settings: dict[str, object]) -> None:
    check_model(factory, settings={"preset": "tiny", **settings}, size=SMALL)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("factory", "settings"),
    [
        (UNet, {"residual": True, "deep_supervision": True}),
        (DeepLab, {"separable": True, "output_stride": 16}),
        (DenseNet, {"stem": "imagenet"}),
        (DenseNet, {"stem": "full"}),
        (DenseNet, {"dropout": 0.2, "normalization": "instance", "stem": "full"}),
        *(
            (LateFusion, {"fusion": how, "encoder": name, "modality_dropout": 0.3})
            for how in FUSIONS
            for name in ENCODERS
        ),
    ],
    ids=str,
)
def test_contract_of_options(factory: Callable[..., nn.Module], settings: dict[str, object]) -> None:
    check_model(factory, settings={"preset": "tiny", **settings}, size=SMALL)


@pytest.mark.slow
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize(("factory", "preset"), PUBLISHED, ids=str)
def test_contract_of_published_presets(factory: Callable[..., nn.Module], preset: str, spatial_dims: int) -> None:
    size = [40] * spatial_dims
    if preset.startswith("fc"):  # halved five times; 64 voxels along all three axes would take over 23 GB
        size = [64, 64] if spatial_dims == 2 else [64, 32, 32]
    check_model(factory, spatial_dims=[spatial_dims], settings={"preset": preset}, size=size, in_channels=1)


@pytest.mark.long
@pytest.mark.parametrize("preset", ["tiny", "small"])
@pytest.mark.parametrize("factory", SINGLE)
def test_dropout_hardly_shifts_what_normalisations_see_in_evaluation(
    factory: Callable[..., nn.Module], preset: str
) -> None:
    """Root mean square over channels of (mean in evaluation - running mean) / running deviation.

    Dropout before every normalisation and maximum shifted it by .58 (U-Net) and .94 (DeepLab): networks that learned
    and validated as if they had not.
    """
    model = seeded(factory, 1, 2, 2, task="classification", preset=preset, dropout=0.2)
    x = torch.nn.functional.interpolate(images(16, 1, 12, 12), size=48, mode="bilinear")
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    shifts: list[float] = []

    def see(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor], _: torch.Tensor) -> None:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        apart = (inputs[0].mean(dim=(0, 2, 3)) - norm.running_mean) ** 2 / (norm.running_var + 1e-5)
        shifts.append(float(apart.mean().sqrt()))

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for norm in norms:
            norm.momentum = None  # a plain average over the batches
        model.train()
        for _ in range(20):
            model(x)
        for norm in norms:
            norm.register_forward_hook(see)
        model.eval()(x)
    assert len(shifts) == len(norms)
    assert max(shifts) < 0.35


def inflated(weight: torch.Tensor, shape: torch.Size, name: str) -> torch.Tensor:
    """A 2D weight as the 3D weight that does the same to every slice of a volume constant along z."""
    if weight.shape == shape:
        return weight
    volume, depth = torch.zeros(shape), shape[2]
    planes = [depth // 2]
    if ".up" in name:  # stride two: each new slice is reached by exactly one of the two filled taps
        planes = [depth - 2, depth - 1]
    for plane in planes:
        volume[:, :, plane] = weight
    return volume


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("factory", SINGLE)
def test_3d_network_is_the_2d_network_on_every_slice(factory: Callable[..., nn.Module], task: str) -> None:
    flat = seeded(factory, 2, 3, 2, task=task, preset="tiny", normalization="batch").eval()
    deep = factory(2, 3, 3, task=task, preset="tiny", normalization="batch").eval()
    state = {name: inflated(flat.state_dict()[name], t.shape, name) for name, t in deep.state_dict().items()}
    deep.load_state_dict(state)
    slices = images(2, 2, 17, 22)
    with torch.no_grad():
        expected = flat(slices)
        found = deep(slices[:, :, None].expand(-1, -1, 16, -1, -1).contiguous())
    if task == "segmentation":
        expected = expected[:, :, None].expand_as(found)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("factory", SINGLE)
def test_memory_format_does_not_change_the_numbers(factory: Callable[..., nn.Module], task: str) -> None:
    batch = images(2, 3, 33, 40)
    outputs, gradients = [], []
    for layout in (torch.contiguous_format, torch.channels_last):
        model = seeded(factory, 3, 2, 2, task=task, preset="tiny").double().to(memory_format=layout)
        outputs.append(model(batch.double().to(memory_format=layout)))
        outputs[-1].square().sum().backward()
        gradients.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*outputs, atol=1e-9, rtol=1e-9)
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("factory", SINGLE)
def test_one_case_of_the_smallest_size_can_be_trained_on(
    factory: Callable[..., nn.Module], spatial_dims: int, task: str
) -> None:
    for normalization in ("batch", "instance", "group"):
        model = factory(1, 2, spatial_dims, task=task, preset="tiny", normalization=normalization)
        model(images(1, 1, *(model.smallest_side,) * spatial_dims)).square().sum().backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.long
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("factory", EVERY)
def test_exported_program_gives_the_same_logits_for_any_batch(factory: Callable[..., nn.Module], task: str) -> None:
    model = factory(3, 2, 2, task=task, preset="tiny").eval()
    program = torch.export.export(model, (images(2, 3, 33, 32),), dynamic_shapes=({0: torch.export.Dim("cases")},))
    batch = images(5, 3, 33, 32)
    with torch.no_grad():
        torch.testing.assert_close(program.module()(batch), model(batch), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("factory", SINGLE)
def test_every_layer_can_be_watched_as_attribution_does(factory: Callable[..., nn.Module], task: str) -> None:
    model = factory(1, 2, 2, task=task, preset="tiny")
    pulled: dict[str, tuple[int, ...]] = {}
    for name, layer in model.named_modules():
        if not list(layer.children()) and list(layer.parameters()):
            layer.register_full_backward_hook(
                lambda module, grads_in, grads_out, name=name: pulled.update({name: tuple(grads_out[0].shape)})
            )
    model(images(2, 1, 16, 16).requires_grad_())[:, 1].sum().backward()
    assert set(pulled) == {n for n, m in model.named_modules() if not list(m.children()) and list(m.parameters())}


@pytest.mark.long
@pytest.mark.parametrize("factory", EVERY)
def test_building_takes_nothing_but_torchs_generator(factory: Callable[..., nn.Module]) -> None:
    first, second = seeded(factory, 3, 2, 2, preset="tiny"), seeded(factory, 3, 2, 2, preset="tiny")
    other = factory(3, 2, 2, preset="tiny")
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("factory", EVERY)
def test_a_few_steps_learn_to_tell_two_textures_apart(factory: Callable[..., nn.Module]) -> None:
    generator = torch.Generator().manual_seed(0)
    truth = torch.arange(32) % 2
    batch = torch.randn(32, 2, 32, 32, generator=generator)
    batch[truth == 1] = nn.functional.avg_pool2d(batch[truth == 1], 3, 1, 1) * 3
    model = seeded(factory, 2, 2, 2, task="classification", preset="tiny")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(25):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batch), truth).backward()
        optimizer.step()
    assert (model.train()(batch).argmax(1) == truth).float().mean() > 0.95
