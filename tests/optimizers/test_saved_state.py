"""The state of another optimizer, or for another model, is refused in one sentence when it is loaded."""

import itertools

import pytest
import torch

from equipoise import optimizers
from equipoise.errors import EquipoiseError
from equipoise.optimizers import needs_closure
from equipoise.optimizers.saved_state import check_saved_state

OURS = ("AdaptiveMomentum", "Lion", "Momentum", "Muon", "Prodigy", "SAM")
FOREIGN = ("Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop")


def weights(dtype=torch.float32):
    torch.manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, dtype=dtype)) for shape in ((4, 3), (5,), ())]


def step(optimizer, params):
    def closure():
        optimizer.zero_grad()
        loss = sum((param.abs() ** 2).sum() for param in params)
        loss.backward()
        return loss

    if needs_closure(optimizer):
        optimizer.step(closure)
    else:
        closure()
        optimizer.step()


def stepped(kind):
    params = weights()
    optimizer = kind(params)
    step(optimizer, params)
    return optimizer


@pytest.mark.parametrize("name", OURS)
def test_a_foreign_state_is_refused_in_words(name):
    for foreign in FOREIGN:
        ours = getattr(optimizers, name)(weights())
        with pytest.raises(EquipoiseError, match=f"not that of a {name}"):
            ours.load_state_dict(stepped(getattr(torch.optim, foreign)).state_dict())


@pytest.mark.long
def test_of_each_other_only_what_works_is_taken():
    for saved, loading in itertools.permutations(OURS, 2):
        params = weights()
        ours = getattr(optimizers, loading)(params)
        try:
            ours.load_state_dict(stepped(getattr(optimizers, saved)).state_dict())
        except EquipoiseError:
            continue
        step(ours, params)  # what is taken must also work
        assert {saved, loading} == {"SAM", "Momentum"}


@pytest.mark.parametrize("name", OURS)
def test_its_own_state_is_taken_and_goes_on(name):
    params = weights()
    ours = getattr(optimizers, name)(params)
    ours.load_state_dict(stepped(getattr(optimizers, name)).state_dict())
    step(ours, params)
    assert all(bool(param.isfinite().all()) for param in params)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"model": {}, "optimizer": {}}, "which is not an optimizer's state"),
        ([1, 2], "which is not an optimizer's state"),
        ({"state": {}, "param_groups": [1]}, "not dictionaries"),
        ({"state": {}, "param_groups": [{"params": [0]}]}, "has 1 groups of 1 parameters"),
    ],
)
def test_what_is_no_state_is_named(state, text):
    with pytest.raises(EquipoiseError, match=text):
        check_saved_state(optimizers.Lion(weights()), state)


def test_the_state_of_another_model_is_named():
    lion = optimizers.Lion([torch.nn.Parameter(torch.ones(7)) for _ in range(3)])
    with pytest.raises(EquipoiseError, match=r"exp_avg has shape \(4, 3\)"):
        lion.load_state_dict(stepped(optimizers.Lion).state_dict())


def test_an_eight_bit_state_is_refused():
    lion = stepped(optimizers.Lion)
    saved = lion.state_dict()
    saved["state"][0] = {"state1": torch.zeros(4, 3, dtype=torch.uint8), "qmap1": torch.zeros(256)}
    with pytest.raises(EquipoiseError, match="holds qmap1, state1 in place of exp_avg"):
        lion.load_state_dict(saved)


@pytest.mark.parametrize("name", OURS)
def test_complex_weights_are_trained_or_refused_in_words(name):
    params = weights(torch.complex64)
    ours = getattr(optimizers, name)(params)
    before = float(sum((param.detach().abs() ** 2).sum() for param in params))
    if name in ("Lion", "Muon", "Prodigy"):
        with pytest.raises(EquipoiseError, match="trains real weights"):
            step(ours, params)
        return
    for _ in range(3):
        step(ours, params)
    after = float(sum((param.detach().abs() ** 2).sum() for param in params))
    assert after < before


def test_a_sparse_gradient_is_refused_in_words():
    table = torch.nn.Embedding(5, 2, sparse=True)
    lion = optimizers.Lion(table.parameters())
    table(torch.tensor([1, 3])).sum().backward()
    with pytest.raises(EquipoiseError, match="needs dense gradients"):
        lion.step()
