import numpy as np
import pytest
import torch
from scipy.stats import beta, kstest

from equipoise.training.augmentation.mixup import Mixup
from equipoise.training.learner.losses import build
from equipoise.training.loop.determinism import generator


def test_images_and_classes_are_mixed_in_the_same_shares():
    labels = torch.arange(6) % 3
    images = labels.float().reshape(6, 1, 1, 1).expand(6, 2, 4, 5)  # an image that says its class in every voxel
    mixed, soft = Mixup(0.4, 3).mix(images, labels, generator("a"))
    assert mixed.shape == images.shape
    torch.testing.assert_close(soft.sum(1), torch.ones(6))
    assert (soft >= 0).all()
    torch.testing.assert_close(mixed[:, 0, 0, 0], soft @ torch.arange(3.0))
    assert (soft.max(1).values < 1).sum() > 0


@pytest.mark.long
@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_shares_have_their_beta_distribution(alpha):
    n = 4000
    labels = torch.arange(n)  # all different: the own share stands in the case's own column
    _, soft = Mixup(alpha, n).mix(torch.zeros(n, 1, 1), labels, generator("a"))
    own = soft.diagonal().numpy()
    own = own[own < 1]  # a case may be its own partner
    assert kstest(own, beta(alpha, alpha).cdf).pvalue > 0.01


def test_the_same_draws_mix_alike():
    images, labels = torch.randn(5, 1, 3, 3, generator=generator("x")), torch.tensor([0, 1, 1, 0, 1])
    one, other = (Mixup(0.4, 2).mix(images, labels, generator("b")) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("weight", [None, torch.tensor([0.5, 3.0])])
def test_the_loss_of_a_mixture_is_the_mixture_of_the_losses(weight):
    logits, share = torch.tensor([[0.3, -0.7]]), 0.3
    soft = torch.tensor([[1 - share, share]])
    log_p = logits.log_softmax(1)[0].numpy()
    factors = np.ones(2) if weight is None else weight.numpy()
    parts = np.array([1 - share, share]) * factors
    assert float(build("cross-entropy", weight)(logits, soft)) == pytest.approx(-(parts * log_p).sum() / parts.sum())
