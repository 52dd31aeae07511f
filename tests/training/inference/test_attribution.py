import pytest
import torch
from torch import nn

from equipoise.errors import EquipoiseError
from equipoise.models import DenseNet, LateFusion, UNet
from equipoise.training.inference.attribution import attribute, integrated_gradients, shuffled


def _seeded(build):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build().eval()


def _images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def _trained() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """A network that learnt to tell whether a bright square lies on the left or on the right."""
    truth = torch.arange(64) % 2
    images = 0.3 * _images(64, 1, 24, 24)
    images[truth == 0, :, 8:16, 2:10] += 2
    images[truth == 1, :, 8:16, 14:22] += 2
    model = _seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(576, 16), nn.ReLU(), nn.Linear(16, 2)))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), truth).backward()
        optimizer.step()
    return model, images, truth


def test_of_a_linear_network_the_map_is_weight_times_pixel() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    images, classes = _images(4, 1, 3, 4), torch.tensor([0, 2, 1, 0])
    wanted = images * model[1].weight[classes].reshape(4, 1, 3, 4)
    torch.testing.assert_close(integrated_gradients(model, images, classes), wanted.detach())


@pytest.mark.long
@pytest.mark.parametrize("spatial_dims", [2, 3])
@pytest.mark.parametrize("factory", [UNet, DenseNet])
def test_maps_add_up_to_the_logit(factory, spatial_dims: int) -> None:
    model = _seeded(lambda: factory(2, 3, spatial_dims, task="classification", preset="tiny", activation="gelu"))
    images, classes = _images(3, 2, *(16,) * spatial_dims), torch.tensor([2, 0, 1])
    found = attribute(model, images, classes, torch.Generator().manual_seed(0))
    assert found.maps.shape == (3, *(16,) * spatial_dims)
    assert found.gap.max() < 0.02


@pytest.mark.long
def test_equals_captum() -> None:
    captum = pytest.importorskip("captum.attr", reason="captum is among the development pins only")
    model = _seeded(lambda: DenseNet(2, 3, 2, task="classification", preset="tiny"))
    images, classes = _images(3, 2, 16, 16), torch.tensor([2, 0, 1])
    oracle = captum.IntegratedGradients(model).attribute(images, target=classes, n_steps=32, method="gausslegendre")
    torch.testing.assert_close(integrated_gradients(model, images, classes), oracle.float(), atol=1e-5, rtol=1e-4)


@pytest.mark.long
def test_the_map_lies_where_the_evidence_is_and_shuffled_weights_give_another() -> None:
    model, images, truth = _trained()
    found = attribute(model, images, truth, torch.Generator().manual_seed(0))
    assert found.depends_on_weights
    assert found.likeness.max() < 0.5
    for map_, label in zip(found.maps, truth.tolist(), strict=True):
        left, right = map_[8:16, 2:10].sum(), map_[8:16, 14:22].sum()
        assert (left > right) == (label == 0)


def test_a_map_that_is_the_image_itself_is_found_out() -> None:
    class Sum(nn.Module):
        """The logit is the sum of all pixels, whatever the weights: its map is the image."""

        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.full((5,), 2.0))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x.flatten(1).sum(1)] * 2, 1) * self.weight.mean()

    found = attribute(Sum(), _images(3, 1, 8, 8), torch.zeros(3, dtype=torch.long), torch.Generator().manual_seed(0))
    assert not found.depends_on_weights
    assert found.likeness == pytest.approx(1.0)


@pytest.mark.long
def test_a_missing_modality_has_no_part_in_the_map() -> None:
    model = _seeded(lambda: LateFusion(2, 2, 2, preset="tiny"))
    images = _images(2, 2, 16, 16)
    images[0, 1] = float("nan")
    found = integrated_gradients(model, images, torch.tensor([0, 1]))
    assert found.isfinite().all()
    assert not found[0, 1].any()
    assert found[1, 1].any()
    assert attribute(model, images, torch.tensor([0, 1]), torch.Generator().manual_seed(0)).gap.max() < 0.05


def test_shuffling_keeps_the_numbers_and_leaves_the_model_alone() -> None:
    model = _seeded(lambda: DenseNet(1, 2, 2, preset="tiny"))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    other = shuffled(model, torch.Generator().manual_seed(0))
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one.flatten().sort().values, two.flatten().sort().values)
    assert any(not torch.equal(one, two) for one, two in zip(model.parameters(), other.parameters(), strict=True))


def test_segmenters_are_refused() -> None:
    model = UNet(1, 2, 2, preset="tiny")
    with pytest.raises(EquipoiseError, match="ask for maps of a classifier"):
        integrated_gradients(model, _images(1, 1, 16, 16), torch.tensor([0]))
