"""Sliding windows in numpy give what training's give in torch, and what a plain loop over voxels gives."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from deploy_bundles import contract_for
from scipy.special import expit
from scipy.special import softmax as scipy_softmax

from equipoise.deploy import runtimes
from equipoise.deploy.contract import Window
from equipoise.deploy.windows import class_logits, collected, sigmoid, softmax, voxel_logits
from equipoise.errors import EquipoiseError
from equipoise.preprocessing.window_plan import axis_windows, check_windows, mirror_subsets
from equipoise.training.learner.sliding_window import slide


def network(outputs, dims):
    """A convolution of random weights in torch, and the same as a function of numpy arrays."""
    layer = (torch.nn.Conv2d, torch.nn.Conv3d)[dims - 2](2, outputs, 3, padding=1)
    generator = torch.Generator().manual_seed(dims)
    with torch.no_grad():
        layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))

    def in_numpy(images):
        with torch.inference_mode():
            return layer(torch.from_numpy(images)).numpy()

    return layer, in_numpy


@pytest.mark.parametrize(
    ("sides", "patch", "overlap", "mirror", "batch"),
    [((13, 9, 11), (4, 5, 6), 0.5, (), 3), ((13, 3, 11), (4, 5, 6), 0.25, (0, 2), 1), ((17, 10), (8, 8), 0.7, (1,), 4),
     ((5, 5), (8, 8), 0.5, (), 1), ((2, 2, 2), (8, 8, 8), 0.0, (0, 1, 2), 2)],
)  # fmt: skip
def test_windows_equal_those_of_training(sides, patch, overlap, mirror, batch):
    dims = len(sides)
    layer, in_numpy = network(3, dims)
    image = np.random.default_rng(0).normal(size=(2, *sides)).astype(np.float32)
    contract = replace(
        contract_for(), spatial_dims=dims, channels=("a", "b"), window=Window(patch, overlap, mirror, batch)
    )
    logits = collected(voxel_logits(in_numpy, image, contract), sides, lambda part: part, np.float32)
    there = slide(layer, image, patch, 3, device=torch.device("cpu"), overlap=overlap, batch=batch, mirror_axes=mirror)
    assert np.abs(softmax(logits) - there).max() < 2e-6


def test_whole_images_and_classes():
    _, in_numpy = network(3, 2)
    image = np.random.default_rng(1).normal(size=(2, 7, 6)).astype(np.float32)
    contract = replace(contract_for(), spatial_dims=2, channels=("a", "b"))
    logits = collected(voxel_logits(in_numpy, image, contract), (7, 6), lambda part: part, np.float32)
    assert np.array_equal(logits, in_numpy(image[None])[0])
    per_class = replace(contract, truth="label", window=Window(mirror_axes=(0, 1)))
    mean = class_logits(lambda images: in_numpy(images)[:, :, 0, 0], image, per_class)
    corners = in_numpy(image[None])[0]
    flips = [in_numpy(np.flip(image[None], axes).copy())[0, :, 0, 0] for axes in ((), (2,), (3,), (2, 3))]
    assert np.allclose(mean, np.mean(flips, axis=0), atol=1e-6)
    assert not np.allclose(mean, corners[:, 0, 0])


def test_probabilities_are_those_of_scipy():
    logits = np.random.default_rng(2).normal(0, 40, (3, 5, 4)).astype(np.float32)
    assert np.allclose(softmax(logits), scipy_softmax(logits.astype(np.float64), axis=0), atol=1e-6)
    assert np.allclose(sigmoid(logits), expit(logits.astype(np.float64)), atol=1e-6)


def test_what_does_not_fit_is_one_sentence():
    image = np.zeros((1, 4, 4, 4), np.float32)
    fixed = replace(contract_for(), window=Window(fixed=(5, 4, 4)))
    with pytest.raises(EquipoiseError, match=r"takes only \(5, 4, 4\)"):
        list(voxel_logits(lambda x: x, image, fixed))
    small = replace(contract_for(), window=Window(smallest=(8, 8, 8)))
    with pytest.raises(EquipoiseError, match=r"needs at least \(8, 8, 8\)"):
        list(voxel_logits(lambda x: x, image, small))
    with pytest.raises(EquipoiseError, match="not finite"):
        list(voxel_logits(lambda x: np.full((1, 3, 4, 4, 4), np.nan, np.float32), image, contract_for()))
    with pytest.raises(EquipoiseError, match="shape"):
        list(voxel_logits(lambda x: x, image, contract_for()))


def test_the_shares_of_every_voxel_sum_to_one():
    for size, side, overlap in ((10, 4, 0.5), (3, 8, 0.5), (25, 7, 0.9), (8, 8, 0.0)):
        total = np.zeros(size)
        for window in axis_windows(size, side, overlap):
            total[window.image] += window.weight
        assert np.allclose(total, 1, atol=1e-6)
    assert list(mirror_subsets((0, 2))) == [(), (2,), (4,), (2, 4)]
    with pytest.raises(EquipoiseError):
        check_windows((4,), (4,), 0.5, 1, ())


@pytest.mark.parametrize(("text", "threads"), [("", 1), ("3", 3), ("4,2", 4), ("many", 1), ("0", 1)])
def test_threads_are_those_of_the_environment(monkeypatch, text, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert runtimes.threads_of() == threads
