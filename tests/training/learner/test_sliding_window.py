import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.training.learner.sliding_window import LIKELIEST_CLASS, slide

CPU = torch.device("cpu")


def _image(*shape: int, dtype: type = np.float32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape, scale=50).astype(dtype)


def _answer(classes: int, channels: int):
    """Logits that depend on a voxel, its neighbours and its place in the patch, so that blending matters."""
    mix = torch.randn(classes, channels, generator=torch.Generator().manual_seed(0)) / 50

    def answer(patches: Tensor) -> Tensor:
        place = sum(
            torch.linspace(-1, 2, side).reshape([-1 if axis == at else 1 for axis in range(patches.ndim - 2)])
            for at, side in enumerate(patches.shape[2:])
        )
        here = torch.einsum("kc,nc...->nk...", mix, patches + patches.roll(1, -1) + patches.roll(2, 2))
        return here + torch.arange(classes).reshape(-1, *[1] * (patches.ndim - 2)) * place

    return answer


def _slow(answer, image: np.ndarray, patch: tuple[int, ...], overlap: float) -> np.ndarray:
    """Every patch's logits times its Gaussian, divided by the sum of the Gaussians: blended logits."""
    size = image.shape[1:]
    margin = [(max(0, p - s) // 2, max(0, p - s) - max(0, p - s) // 2) for s, p in zip(size, patch, strict=True)]
    padded = np.pad(image.astype(np.float64), [(0, 0), *margin])
    starts = []
    for s, p in zip(padded.shape[1:], patch, strict=True):
        count = math.ceil((s - p) / max(1, int(p * (1 - overlap)))) + 1
        starts.append(np.round(np.linspace(0, s - p, count)).astype(int))
    at = np.meshgrid(*[(np.arange(p) - (p - 1) / 2) / (p / 8) for p in patch], indexing="ij")
    gauss = np.exp(-sum(a**2 for a in at) / 2)
    top, bottom = 0, np.zeros(padded.shape[1:])
    for corner in itertools.product(*starts):
        where = tuple(slice(c, c + p) for c, p in zip(corner, patch, strict=True))
        logits = answer(torch.from_numpy(padded[(slice(None), *where)].astype(np.float32))[None])[0].numpy()
        top = np.zeros((len(logits), *padded.shape[1:])) if isinstance(top, int) else top
        top[(slice(None), *where)] += logits * gauss
        bottom[where] += gauss
    return (top / bottom)[(slice(None), *(slice(m, m + s) for (m, _), s in zip(margin, size, strict=True)))]


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_equals_the_slow_reference(data: st.DataObject) -> None:
    dims = data.draw(st.sampled_from([2, 3]))
    side = st.integers(2, 14 if dims == 3 else 30)
    size = data.draw(st.tuples(*[side] * dims))
    patch = data.draw(st.tuples(*[st.integers(3, 9)] * dims))
    overlap = data.draw(st.sampled_from([0.0, 0.25, 0.5, 0.7]))
    image = _image(2, *size, dtype=data.draw(st.sampled_from([np.int16, np.float32])))
    answer = _answer(3, 2)
    given_to = {"device": CPU, "overlap": overlap, "batch": data.draw(st.integers(1, 4))}
    logits = slide(answer, image, patch, 3, finish=lambda x: x, **given_to)
    slow = _slow(answer, image, patch, overlap)
    np.testing.assert_allclose(logits, slow, rtol=1e-4, atol=1e-4)
    probabilities = slide(answer, image, patch, 3, **given_to)
    np.testing.assert_allclose(probabilities, torch.from_numpy(slow).softmax(0).numpy(), rtol=1e-4, atol=1e-5)
    labels = slide(answer, image, patch, 3, finish=LIKELIEST_CLASS, **given_to)
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, probabilities.argmax(0))


def test_small_parts_finish_to_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    image, answer = _image(1, 9, 10, 11), _answer(2, 1)
    whole = slide(answer, image, (4, 5, 6), 2, device=CPU)
    monkeypatch.setattr("equipoise.training.learner.sliding_window.FINISHED_AT_ONCE", 1)
    np.testing.assert_allclose(slide(answer, image, (4, 5, 6), 2, device=CPU), whole, rtol=1e-6)


def test_a_network_that_repeats_its_image_gives_it_back() -> None:
    image = _image(2, 13, 17, 5)
    found = slide(lambda patches: patches, image, (6, 4, 8), 2, device=CPU, mirror_axes=(0, 2), finish=lambda x: x)
    np.testing.assert_allclose(found, image, rtol=1e-5, atol=1e-3)


def test_mirroring_averages_every_combination() -> None:
    image, answer, patch = _image(1, 8, 8), _answer(2, 1), (8, 8)
    patches = torch.from_numpy(image)[None]
    slow = sum(answer(patches.flip(flips)).flip(flips) for flips in ([], [2], [3], [2, 3])) / 4
    found = slide(answer, image, patch, 2, device=CPU, mirror_axes=(0, 1), finish=lambda x: x)
    np.testing.assert_allclose(found, slow[0].numpy(), rtol=1e-4, atol=1e-5)


def test_regions_may_overlap() -> None:
    image, answer = _image(1, 12, 12, 12), _answer(3, 1)
    found = slide(answer, image, (8, 8, 8), 3, device=CPU, finish=torch.sigmoid)
    masks = slide(answer, image, (8, 8, 8), 3, device=CPU, finish=lambda logits: logits > 0)
    assert masks.shape == found.shape == (3, 12, 12, 12)
    assert (masks.dtype, found.dtype) == (np.uint8, np.float32)
    np.testing.assert_array_equal(masks, found > 0.5)
    assert (masks.sum(0) > 1).any()


class _Watched(np.ndarray):
    """An array that remembers how much was asked of it at once."""

    largest = 0

    def __getitem__(self, key):
        found = super().__getitem__(key)
        type(self).largest = max(self.largest, found.size)
        return found


def test_only_patches_are_read_from_the_image() -> None:
    image = _image(1, 40, 20, 20, dtype=np.int16).view(_Watched)
    _Watched.largest = 0
    slide(_answer(2, 1), image, (8, 8, 8), 2, device=CPU, finish=LIKELIEST_CLASS)
    assert _Watched.largest == 8**3


def test_foreign_byte_order_is_read() -> None:
    image = _image(1, 9, 9, dtype=np.int16)
    here = slide(_answer(2, 1), image, (4, 4), 2, device=CPU)
    np.testing.assert_array_equal(slide(_answer(2, 1), image.astype(">i2"), (4, 4), 2, device=CPU), here)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"patch": (4,)}, "does not fit an image"),
        ({"patch": (4, 0)}, "does not fit an image"),
        ({"overlap": 1.0}, "overlap of 1.0"),
        ({"batch": 0}, "0 patches at once"),
        ({"mirror_axes": (2,)}, "not axes of the image"),
        ({"mirror_axes": (0, 0)}, "not axes of the image"),
        ({"classes": 3}, "returned shape"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict, said: str) -> None:
    chosen = {"patch": (4, 4), "classes": 2, "device": CPU} | changed
    with pytest.raises(EquipoiseError, match=said):
        slide(_answer(2, 1), _image(1, 9, 9), **chosen)


def test_logits_that_are_not_finite_are_refused() -> None:
    with pytest.raises(EquipoiseError, match="not finite in planes 0 to"):
        slide(lambda patches: patches / 0, np.zeros((1, 9, 9)), (4, 4), 1, device=CPU, finish=LIKELIEST_CLASS)
