import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import affine_transform, map_coordinates

from equipoise.kernels import resample as resampling
from equipoise.kernels.resample import reference, resample

needs_compiler = pytest.mark.skipif(
    resampling._kernel() is None, reason="this machine has no C compiler; set CC to one"
)


def random_case(seed, shape):
    """Values, maps about the centre that turn and stretch, and displacements of up to two voxels."""
    generator = torch.Generator().manual_seed(seed)
    n, d = shape[0], len(shape) - 2
    values = torch.rand(shape, generator=generator)
    linear = torch.eye(d) + 0.4 * (torch.rand((n, d, d), generator=generator) - 0.5)
    centre = (torch.tensor(shape[2:]) - 1) / 2
    offset = centre - linear @ centre + torch.rand((n, d), generator=generator)
    displacement = 4 * torch.rand((n, d, *shape[2:]), generator=generator) - 2
    return values, torch.cat([linear, offset[:, :, None]], 2), displacement


SHAPES = st.one_of(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 9), st.integers(1, 150)),
    st.tuples(st.integers(1, 2), st.integers(1, 2), st.integers(1, 7), st.integers(1, 7), st.integers(1, 70)),
)


@pytest.mark.long
@needs_compiler
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**31), SHAPES, st.booleans(), st.booleans())
def test_the_kernel_gives_the_bits_of_the_reference(seed, shape, nearest, displaced):
    values, maps, displacement = random_case(seed, shape)
    displacement = displacement if displaced else None
    assert torch.equal(resample(values, maps, displacement, nearest), reference(values, maps, displacement, nearest))


@needs_compiler
def test_threads_change_no_bit():
    values, maps, displacement = random_case(0, (2, 1, 40, 41, 42))
    before = torch.get_num_threads()
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(resample(values, maps, displacement, False))
    torch.set_num_threads(before)
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


@pytest.mark.long
@pytest.mark.parametrize("shape", [(2, 2, 13, 17), (2, 1, 8, 9, 11)])
@pytest.mark.parametrize("way", [resample, reference])
def test_affine_maps_equal_scipys(way, shape):
    values, maps, _ = random_case(3, shape)
    found = way(values, maps, None, False)
    for n in range(shape[0]):
        for c in range(shape[1]):
            linear, offset = maps[n, :, :-1].double().numpy(), maps[n, :, -1].double().numpy()
            oracle = affine_transform(values[n, c].double().numpy(), linear, offset, order=1, mode="nearest")
            torch.testing.assert_close(found[n, c].double(), torch.from_numpy(oracle), atol=2e-5, rtol=0)


@pytest.mark.long
@pytest.mark.parametrize("shape", [(2, 2, 13, 17), (2, 1, 8, 9, 11)])
@pytest.mark.parametrize("way", [resample, reference])
def test_displacements_equal_scipys(way, shape):
    values, maps, displacement = random_case(4, shape)
    found = way(values, maps, displacement, False)
    grid = torch.stack(torch.meshgrid(*(torch.arange(side) for side in shape[2:]), indexing="ij")).float()
    for n in range(shape[0]):
        places = torch.einsum("ij,j...->i...", maps[n, :, :-1], grid)
        places = places + maps[n, :, -1].view(-1, *[1] * grid[0].ndim) + displacement[n]
        for c in range(shape[1]):
            oracle = map_coordinates(values[n, c].numpy(), places.numpy(), order=1, mode="nearest")
            torch.testing.assert_close(found[n, c], torch.from_numpy(oracle), atol=2e-5, rtol=0)


def test_nearest_takes_the_upper_of_two_equally_near():
    values = torch.arange(6.0).view(1, 1, 1, 6)
    maps = torch.tensor([[[1.0, 0, 0], [0, 1, 0.5]]])
    assert resample(values, maps, None, True).flatten().tolist() == [1, 2, 3, 4, 5, 5]


def test_other_types_are_resampled_too():
    values, maps, displacement = random_case(5, (1, 1, 9, 9))
    exact = resample(values, maps, displacement, False)
    torch.testing.assert_close(resample(values.double(), maps, displacement, False), exact.double(), atol=1e-6, rtol=0)
    half = resample(values.bfloat16(), maps, displacement, False)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.01, rtol=0)


@pytest.fixture
def fresh_kernel():
    resampling._kernel.cache_clear()
    yield
    resampling._kernel.cache_clear()


@pytest.mark.long
@pytest.mark.usefixtures("fresh_kernel")
def test_without_a_compiler_the_reference_gives_the_same(monkeypatch):
    values, maps, displacement = random_case(6, (1, 1, 9, 9))
    before = resample(values, maps, displacement, False)
    resampling._kernel.cache_clear()
    monkeypatch.setenv("CC", "no-such-compiler")
    assert resampling._kernel() is None
    assert torch.equal(resample(values, maps, displacement, False), before)
