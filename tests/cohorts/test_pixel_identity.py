"""Equal pixels have one hash in whatever form a file holds them; other pixels have another."""

from itertools import permutations, product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from equipoise.cohorts.formats.reading import read_any
from equipoise.cohorts.pixel_identity import pixel_identities, pixel_identity

GREY = np.random.default_rng(0).integers(0, 256, (1, 24, 24)).astype(np.uint8)
VOLUME = np.random.default_rng(1).normal(size=(1, 6, 7, 7))


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P"])
def test_pictures_that_are_written_again_keep_their_identity(tmp_path: Path, mode: str) -> None:
    file = tmp_path / "one.png"
    Picture.fromarray(GREY[0]).convert(mode).save(file)
    assert pixel_identity(read_any(file).array) == pixel_identity(GREY)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
@pytest.mark.parametrize("plane", [(24, 24), (1, 24, 24), (24, 24, 1)])
def test_a_slice_as_a_volume_keeps_its_identity(dtype: type, plane: tuple[int, ...]) -> None:
    assert pixel_identity(GREY.astype(dtype).reshape(1, *plane)) == pixel_identity(GREY)


@pytest.mark.parametrize("array", [GREY, VOLUME], ids=["slice", "volume"])
def test_flips_and_transposes_keep_the_identity(array: np.ndarray) -> None:
    own, axes = pixel_identity(array), range(1, array.ndim)
    for order in permutations(axes):
        for flips in product((False, True), repeat=len(axes)):
            turned = np.flip(array.transpose(0, *order), [axis for axis, on in zip(axes, flips, strict=True) if on])
            assert pixel_identity(turned) == own


def test_other_pixels_have_another_identity() -> None:
    changed = GREY.copy()
    changed[0, 3, 4] ^= 1
    colours = np.concatenate([GREY, GREY, changed])
    shuffled = np.random.default_rng(2).permutation(GREY.reshape(-1)).reshape(GREY.shape)
    identities = {pixel_identity(one) for one in (GREY, changed, colours, shuffled, GREY.reshape(1, 16, 36), VOLUME)}
    assert len(identities) == 6
    assert pixel_identity(np.zeros((1, 4, 4))) == pixel_identity(-np.zeros((3, 4, 4)))


def test_channels_have_the_identity_that_they_have_as_images() -> None:
    pair = np.concatenate([VOLUME, np.random.default_rng(3).normal(size=VOLUME.shape)])
    whole, alone = pixel_identities(pair)
    assert whole == pixel_identity(pair)
    assert alone == (pixel_identity(pair[:1]), pixel_identity(pair[1:]))
    assert pixel_identities(pair[::-1, :, ::-1])[1] == alone[::-1]
    for same in (VOLUME, np.repeat(VOLUME, 3, axis=0)):
        assert pixel_identities(same) == (pixel_identity(VOLUME), ())


def test_identities_of_earlier_versions_are_kept() -> None:
    """Registries hold them for years."""
    assert pixel_identity(np.arange(24.0).reshape(2, 3, 4)) == "394942664db2076ab23843ab7c586dc4"
    assert pixel_identity(np.arange(12).reshape(1, 1, 3, 4)) == "792148c2c125390fe633cbf5b36708ce"
