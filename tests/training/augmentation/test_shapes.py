"""Shapes of every augmentation effect and of its draws in 2D and 3D, as types that are checked at each call."""

from collections.abc import Callable

import pytest
import torch
from beartype import beartype
from jaxtyping import Float, Float32, Float64, Int64, Shaped, TypeCheckError, jaxtyped
from torch import Tensor

from equipoise.training.augmentation import Augmentation, Draws, apply, draw
from equipoise.training.augmentation.affine import affine, linear_parts
from equipoise.training.augmentation.bias_field import apply_bias_field, field
from equipoise.training.augmentation.blur import blur, smoothing
from equipoise.training.augmentation.chosen import per_image, spread
from equipoise.training.augmentation.cutout import cut_out
from equipoise.training.augmentation.elastic import POINTS, displacement, spline
from equipoise.training.augmentation.intensity import apply_gamma, shift_and_stretch
from equipoise.training.augmentation.mixup import Mixup
from equipoise.training.augmentation.noise import add_noise
from equipoise.training.augmentation.spatial import move

TYPED = jaxtyped(typechecker=beartype)
PLAN = {
    "rotate_degrees": 20, "flip": ["horizontal", "vertical"], "scale": [0.8, 1.2], "shift": 0.1, "elastic": 0.05,
    "bias_field": 0.3, "contrast": [0.7, 1.4], "brightness": 0.3, "gamma": [0.5, 2.0], "blur": 1.5, "noise": 0.2,
    "cutout": 0.4,
}  # fmt: skip
N, CHANNELS = 4, 2
SIZES = {2: (11, 14), 3: (7, 11, 14)}


@TYPED
def changed(
    effect: Callable[[Tensor], Tensor], images: Float32[Tensor, "n channels *spatial"]
) -> Float32[Tensor, "n channels *spatial"]:
    return effect(images)


@TYPED
def moved(
    effect: Callable[..., tuple[Tensor, Tensor]],
    images: Float32[Tensor, "n channels *spatial"],
    masks: Shaped[Tensor, "n *mask"],
    draws: Draws,
) -> tuple[Float32[Tensor, "n channels *spatial"], Shaped[Tensor, "n *mask"]]:
    return effect(images, masks, draws)


@TYPED
def drawn_parameters(
    zooms: Float32[Tensor, " n"],
    angles: Float32[Tensor, "n turns"],
    mirrors: Float32[Tensor, "n d"],
    shifts: Float32[Tensor, "n d"],
    boxes: Float32[Tensor, "n d 2"],
    contrasts: Float32[Tensor, " n"],
    offsets: Float32[Tensor, " n"],
    exponents: Float32[Tensor, " n"],
    blurs: Float32[Tensor, " n"],
    noise: Float32[Tensor, " n"],
) -> tuple[int, int, int]:
    return len(zooms), angles.shape[1], mirrors.shape[1]


@TYPED
def controls_2d(controls: Float32[Tensor, "n 2 p p"], coefficients: Float32[Tensor, "n 4 4"]) -> None: ...


@TYPED
def controls_3d(controls: Float32[Tensor, "n 3 p p p"], coefficients: Float32[Tensor, "n 4 4 4"]) -> None: ...


@TYPED
def maps(
    angles: Float32[Tensor, "n _"], zooms: Float32[Tensor, " n"], mirrors: Float32[Tensor, "n d"], size: tuple[int, ...]
) -> tuple[Float64[Tensor, "n d d"], Float32[Tensor, "n d d+1"]]:
    linear = linear_parts(angles, zooms, mirrors)
    return linear, affine(linear, torch.zeros(len(angles), len(size)), size)


@TYPED
def displaced(
    controls: Float32[Tensor, "n d *points"], linear: Float64[Tensor, "n d d"], like: Float32[Tensor, "n _ *spatial"]
) -> Float32[Tensor, "n d *spatial"]:
    return displacement(controls, linear, like.shape[2:], like.device)


@TYPED
def bias(
    coefficients: Float32[Tensor, "n *degrees"], like: Float32[Tensor, "n _ *spatial"]
) -> Float32[Tensor, "n 1 *spatial"]:
    return field(coefficients, like.shape[2:], like.device)


@TYPED
def mixed(
    mixup: Mixup, images: Float32[Tensor, "n channels *spatial"], labels: Int64[Tensor, " n"]
) -> tuple[Float32[Tensor, "n channels *spatial"], Float32[Tensor, "n {mixup.classes}"]]:
    return mixup.mix(images, labels, torch.Generator().manual_seed(0))


@TYPED
def matrices(sigmas: Float32[Tensor, " n"], side: int) -> Float32[Tensor, "n {side} {side}"]:
    return smoothing(sigmas, side)


@TYPED
def splines(side: int) -> Float32[Tensor, f"{{side}} {POINTS}"]:
    return spline(side)


def images(dims: int) -> Tensor:
    return torch.rand(N, CHANNELS, *SIZES[dims], generator=torch.Generator().manual_seed(dims))


def draws_of(dims: int) -> Draws:
    return draw(Augmentation.from_settings(PLAN, dims), N, dims, torch.Generator().manual_seed(1))


EFFECTS: dict[str, Callable[[Tensor, Draws], Tensor]] = {
    "bias_field": lambda x, draws: apply_bias_field(x, draws.coefficients),
    "contrast": lambda x, draws: shift_and_stretch(x, draws.contrasts, draws.offsets),
    "gamma": lambda x, draws: apply_gamma(x, draws.exponents),
    "blur": lambda x, draws: blur(x, draws.blurs),
    "noise": lambda x, draws: add_noise(x, draws.noise, draws.noise_seed),
    "cutout": lambda x, draws: cut_out(x, draws.boxes),
    "spatial": lambda x, draws: move(x, None, draws)[0],
    "all": lambda x, draws: apply(x, None, draws)[0],
}


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", EFFECTS)
def test_an_effect_keeps_shape_and_type(name: str, dims: int) -> None:
    changed(lambda x: EFFECTS[name](x, draws_of(dims)), images(dims))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("effect", [move, apply])
def test_masks_of_every_kind_keep_shape_and_type(effect: Callable[..., tuple[Tensor, Tensor]], dims: int) -> None:
    grid = SIZES[dims]
    for masks in (torch.ones(N, *grid).long(), torch.ones(N, 3, *grid).to(torch.uint8), torch.rand(N, 3, *grid)):
        _, result = moved(effect, images(dims), masks, draws_of(dims))
        assert result.dtype == masks.dtype


@pytest.mark.parametrize("dims", [2, 3])
def test_draws(dims: int) -> None:
    draws = draws_of(dims)
    names = ("zooms", "angles", "mirrors", "shifts", "boxes", "contrasts", "offsets", "exponents", "blurs", "noise")
    assert drawn_parameters(*(getattr(draws, name) for name in names)) == (N, 1 if dims == 2 else 3, dims)
    (controls_2d if dims == 2 else controls_3d)(draws.controls, draws.coefficients)
    linear, _ = maps(draws.angles, draws.zooms, draws.mirrors, SIZES[dims])
    displaced(draws.controls, linear, images(dims))
    bias(draws.coefficients, images(dims))
    matrices(draws.blurs, 9)
    splines(9)
    mixed(Mixup(0.4, 3), images(dims), torch.tensor([0, 1, 2, 1]))


@TYPED
def statistics(
    values: Float[Tensor, "n c y x"], parameter: Float[Tensor, " n"]
) -> tuple[tuple[Float[Tensor, "n c 1 1"], Float[Tensor, "n c 1 1"]], Float[Tensor, "n 1 1 1"]]:
    return spread(values), per_image(parameter, values)


def test_helpers_broadcast_over_space() -> None:
    statistics(images(2), torch.rand(N))


def test_a_wrong_shape_is_noticed() -> None:
    """The check itself: an effect that swaps the axes, and one that returns doubles."""
    with pytest.raises(TypeCheckError):
        changed(lambda x: x.mT, images(2))
    with pytest.raises(TypeCheckError):
        changed(lambda x: x.double(), images(2))
