"""Late fusion: what a missing modality changes and what it must not, the gate, and modality dropout."""

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.models import DenseNet, LateFusion
from equipoise.models.fusion import ENCODERS, FUSIONS, _hide

NAN = float("nan")


def images(cases: int = 4, channels: int = 3, side: int = 16) -> torch.Tensor:
    return torch.randn(cases, channels, side, side, generator=torch.Generator().manual_seed(1))


def fusion(task: str = "classification", **settings: object) -> LateFusion:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LateFusion(3, 2, 2, **{"task": task, "preset": "tiny", **settings})


@pytest.mark.long
@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("how", FUSIONS)
def test_missing_modalities_are_legal_in_training_and_at_inference(task: str, name: str, how: str) -> None:
    model = fusion(task, encoder=name, fusion=how, modality_dropout=0.3)
    batch = images()
    batch[0, 0], batch[2, 1:] = NAN, NAN
    model(batch).square().mean().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    assert model.eval()(batch).isfinite().all()


@pytest.mark.long
@pytest.mark.parametrize("how", FUSIONS)
def test_nan_and_mask_say_the_same(how: str) -> None:
    model = fusion(fusion=how).eval()
    absent, batch = images(), images()
    absent[1, 2] = NAN
    present = torch.ones(4, 3, dtype=torch.bool)
    present[1, 2] = False
    with torch.no_grad():
        assert torch.equal(model(absent), model(batch, present))
        batch[1, 2] = 1e6  # what stands in an absent modality's place must not matter
        assert torch.equal(model(absent), model(batch, present))
        assert not torch.equal(model(absent)[1], model(images())[1])


def test_mean_over_the_present_is_the_mean_of_their_features() -> None:
    model = fusion(encoder="densenet").eval()
    batch = images()
    batch[0, 1] = NAN
    with torch.no_grad():
        first, third = (model.encoders[m].features(batch[:1, m : m + 1]) for m in (0, 2))
        torch.testing.assert_close(model(batch)[:1], model.head((first + third) / 2))


@pytest.mark.long
def test_attention_weights_are_the_gates_softmax() -> None:
    model = fusion(fusion="attention").eval()
    batch = images()
    batch[0, 0] = NAN
    with torch.no_grad():
        features = [model.encoders[m].features(batch[:1, m : m + 1]) for m in (1, 2)]
        scores = torch.stack([model.gate(f) for f in features])
        expected = model.head((torch.softmax(scores, 0) * torch.stack(features)).sum(0))
        torch.testing.assert_close(model(batch)[:1], expected)


@pytest.mark.long
def test_one_case_of_a_missing_modality_does_not_bend_the_batch_statistics() -> None:
    complete, partial = fusion(), fusion()
    batch = images(8)
    complete(batch[1:])
    batch[0, 0] = NAN
    partial(batch)
    name = "encoder.norm0.running_mean"
    torch.testing.assert_close(
        partial.encoders[0].state_dict()[name], complete.encoders[0].state_dict()[name], atol=1e-6, rtol=1e-5
    )


def test_a_modality_that_no_case_of_a_batch_has_leaves_its_encoder_alone() -> None:
    model = fusion(encoder="deeplab", task="segmentation")
    batch = images()
    batch[:, 1] = NAN
    before = {n: t.clone() for n, t in model.encoders[1].state_dict().items()}
    model(batch).sum().backward()
    assert all(p.grad is None for p in model.encoders[1].parameters())
    assert all(torch.equal(t, before[n]) for n, t in model.encoders[1].state_dict().items())


def test_a_case_without_any_modality_is_refused() -> None:
    batch = images()
    batch[3] = NAN
    for model in (fusion().train(), fusion().eval()):
        with pytest.raises(EquipoiseError, match="a case without any modality"):
            model(batch)


def test_modalities_of_several_channels_go_to_one_encoder() -> None:
    model = fusion(modalities=[1, 2])
    assert [encoder.in_channels for encoder in model.encoders] == [1, 2]
    batch = images()
    batch[0, 1] = NAN  # half a modality is not a missing one
    assert model.eval()(batch)[0].isnan().any()


def test_modality_dropout_hides_the_stated_share_and_spares_one() -> None:
    seen = torch.tensor([[True, True, True], [True, False, True], [False, True, False]]).repeat(4000, 1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        hidden = _hide(seen, 0.5)
    assert not (hidden & ~seen).any()
    assert hidden.any(1).all()
    # Kept: spared with chance 1/m, and otherwise kept with chance 1/2.
    assert float(hidden[0::3].float().mean()) == pytest.approx(1 / 3 + (2 / 3) / 2, abs=0.01)
    assert float(hidden[1::3][:, 0].float().mean()) == pytest.approx(1 / 2 + (1 / 2) / 2, abs=0.02)


@pytest.mark.long
def test_modality_dropout_rests_in_evaluation() -> None:
    model = fusion(modality_dropout=0.9, fusion="attention")
    assert not torch.equal(model(images()), model(images()))
    model.eval()
    assert torch.equal(model(images()), model(images()))


def test_single_modality_and_wrong_sums_are_refused() -> None:
    with pytest.raises(EquipoiseError, match="modalities as 2 or more whole numbers"):
        LateFusion(1, 2, 2)
    with pytest.raises(EquipoiseError, match=r"modalities \[1, 1\] have 2 channels but the images have 3"):
        LateFusion(3, 2, 2, modalities=[1, 1])
    with pytest.raises(EquipoiseError, match="no fusion 'max'; allowed: mean, attention"):
        fusion(fusion="max")
    with pytest.raises(EquipoiseError, match="no setting 'deep_supervision'"):
        fusion(encoder="unet", deep_supervision=True)


def test_encoders_carry_no_heads_of_their_own() -> None:
    model, single = fusion(), DenseNet(1, 2, 2, preset="tiny")
    trunk = sum(p.numel() for p in single.parameters()) - sum(p.numel() for p in single.head.parameters())
    total = 3 * trunk + sum(p.numel() for p in single.head.parameters())
    assert sum(p.numel() for p in model.parameters()) == total
