"""The family as a drop-in torch optimizer, and the literal rule against its printed equations."""

import copy
import io
import math
import pickle

import pytest
import torch
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.optimizers import AdaptiveMomentum, RateRangeWarning

MEMBERS = [
    {"rule": "paper"},
    {"rule": "bounded"},
    {"rule": "bounded", "leak": True},
    {"rule": "agreement", "per": "element"},
    {"rule": "agreement", "per": "tensor"},
    {"rule": "adam"},
    {"rule": "adam", "per": "tensor", "leak": True},
]
members = pytest.mark.parametrize("member", MEMBERS, ids=lambda m: "-".join(map(str, m.values())))


def literal_rule(theta: Tensor, grads: list[Tensor], eta0: float, alpha: float, gamma: float, beta0: float):
    """Equations 1 to 3 as printed: beta in float64, rates rounded once to the parameters' float32."""
    beta = torch.full(theta.shape, beta0, dtype=torch.float64)
    previous = torch.zeros_like(theta)
    for grad in grads:
        beta = beta + alpha * torch.sign(previous).double()  # (1)
        eta = (eta0 * torch.exp(-gamma * beta)).float()  # (2)
        theta = theta - eta * grad  # (3)
        previous = grad
    return theta


@pytest.mark.long
@pytest.mark.parametrize("path", ["auto", "loop"])
@pytest.mark.parametrize(("alpha", "gamma", "beta0"), [(0.01, 0.1, 0.0), (0.01, 0.7, 1.5), (0.5, 0.02, -3.0)])
def test_literal_rule_equals_its_reference_to_the_last_bit(stream, drive, path, alpha, gamma, beta0) -> None:
    theta = torch.linspace(-2, 2, 40 * 1000).view(40, 1000)
    grads = stream((40, 1000), 150)
    param = torch.nn.Parameter(theta.clone())
    settings = {"alpha": alpha, "gamma": gamma, "beta0": beta0, "ratio": 1e6, "path": path}
    drive(AdaptiveMomentum.paper([param], 0.1, **settings), [param], [[grad] for grad in grads])
    assert torch.equal(param.detach(), literal_rule(theta, grads, 0.1, alpha, gamma, beta0))


@pytest.mark.long
def test_literal_rule_warns_once_when_a_rate_leaves_the_stated_range(drive) -> None:
    param = torch.nn.Parameter(torch.zeros(3))
    optimizer = AdaptiveMomentum.paper([param], alpha=1.0, gamma=0.1, ratio=10.0)
    within = math.floor(math.log(10.0) / 0.1)
    drive(optimizer, [param], [[torch.ones(3)]] * within)
    with pytest.warns(RateRangeWarning, match="factor of 11, beyond the stated 10"):
        drive(optimizer, [param], [[torch.ones(3)]])
    drive(optimizer, [param], [[torch.ones(3)]] * 20)


@pytest.mark.long
@members
def test_groups_keep_their_own_settings(stream, drive, member) -> None:
    a, b = torch.nn.Parameter(torch.ones(4, 6)), torch.nn.Parameter(torch.ones(7))
    optimizer = AdaptiveMomentum([{"params": [a], "lr": 0.0}, {"params": [b]}], **member)
    drive(optimizer, [a, b], list(zip(stream((4, 6), 5), stream((7,), 5), strict=True)))
    assert torch.equal(a.detach(), torch.ones(4, 6))
    assert not torch.equal(b.detach(), torch.ones(7))


def test_each_rule_takes_its_own_default_learning_rate() -> None:
    groups = [{"params": [torch.zeros(1)], "rule": rule} for rule in ("paper", "bounded", "agreement", "adam")]
    assert [group["lr"] for group in AdaptiveMomentum(groups).param_groups] == [0.1, 0.1, 0.1, 1e-3]


@members
def test_a_group_added_in_mid_run_starts_afresh(stream, drive, member) -> None:
    first, late, alone = (torch.nn.Parameter(torch.ones(5)) for _ in range(3))
    grads = [[grad] for grad in stream((5,), 10)]
    optimizer = AdaptiveMomentum([first], **member)
    drive(optimizer, [first], grads)
    first.grad = None
    optimizer.add_param_group({"params": [late]})
    drive(optimizer, [late], grads)
    drive(AdaptiveMomentum([alone], **member), [alone], grads)
    assert torch.equal(late.detach(), alone.detach())


@pytest.mark.long
@members
def test_resumes_bit_for_bit_through_a_saved_state(stream, drive, member) -> None:
    grads = [[grad] for grad in stream((300,), 300)]
    whole, half = torch.nn.Parameter(torch.ones(300)), torch.nn.Parameter(torch.ones(300))
    drive(AdaptiveMomentum([whole], alpha=0.5, ratio=1e6, **member), [whole], grads)
    optimizer = AdaptiveMomentum([half], alpha=0.5, ratio=1e6, **member)
    drive(optimizer, [half], grads[:150])
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    resumed = AdaptiveMomentum([half], lr=9.0, **member)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    drive(resumed, [half], grads[150:])
    assert torch.equal(half.detach(), whole.detach())


def test_a_loaded_state_takes_its_parameters_layout_and_keeps_its_dtypes() -> None:
    param = torch.nn.Parameter(torch.ones(2, 8, 3, 3, dtype=torch.bfloat16).to(memory_format=torch.channels_last))
    optimizer = AdaptiveMomentum([param], rule="adam", alpha=1e-3)
    param.grad = torch.ones_like(param)
    for _ in range(130):  # counts above 126 need two bytes, and bfloat16 would round those above 256
        optimizer.step()
    state = copy.deepcopy(optimizer.state_dict())
    state["state"][0] = {
        name: value.contiguous() if isinstance(value, Tensor) else value for name, value in state["state"][0].items()
    }
    optimizer.load_state_dict(state)
    loaded = optimizer.state[param]
    assert loaded["count"].dtype == torch.int16
    assert loaded["exp_avg"].dtype == torch.float32
    assert loaded["exp_avg"].stride() == param.stride()
    assert loaded["count"].unique().tolist() == [-129]


def test_a_state_of_another_model_is_refused() -> None:
    small, large = torch.nn.Parameter(torch.ones(3)), torch.nn.Parameter(torch.ones(4))
    saved = AdaptiveMomentum([small], rule="bounded")
    small.grad = torch.ones(3)
    saved.step()
    with pytest.raises(EquipoiseError, match=r"count has shape \(3,\) but its parameter \(4,\)"):
        AdaptiveMomentum([large], rule="bounded").load_state_dict(saved.state_dict())


@members
def test_survives_deepcopy_and_pickle(stream, drive, member) -> None:
    param = torch.nn.Parameter(torch.ones(6))
    optimizer = AdaptiveMomentum([param], **member)
    drive(optimizer, [param], [[grad] for grad in stream((6,), 5)])
    for copied in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        theirs = copied.param_groups[0]["params"][0]
        theirs.grad = torch.ones(6)
        copied.step()
        assert copied.state[theirs]["step"] == 6
        assert copied.paths_taken


@members
def test_the_closure_is_called_once_and_its_loss_returned(member) -> None:
    param, calls = torch.nn.Parameter(torch.ones(3)), []

    def closure() -> Tensor:
        calls.append(torch.is_grad_enabled())
        optimizer.zero_grad()
        loss = (param**2).sum()
        loss.backward()
        return loss

    optimizer = AdaptiveMomentum([param], **member)
    assert optimizer.step(closure).item() == 3.0
    assert calls == [True]


@members
def test_no_gradient_no_step_and_scalars_and_empty_tensors_are_fine(drive, member) -> None:
    idle, scalar, empty = (torch.nn.Parameter(torch.ones(shape)) for shape in ((3,), (), (0,)))
    optimizer = AdaptiveMomentum([idle, scalar, empty], weight_decay=0.1, **member)
    drive(optimizer, [idle, scalar, empty], [[None, torch.ones(()), torch.ones(0)]] * 3)
    assert torch.equal(idle.detach(), torch.ones(3))
    assert idle not in optimizer.state
    assert scalar.item() < 1


@members
def test_maximizing_the_negative_is_minimising(stream, drive, member) -> None:
    down, up = torch.nn.Parameter(torch.ones(50)), torch.nn.Parameter(torch.ones(50))
    grads = stream((50,), 30)
    drive(AdaptiveMomentum([down], **member), [down], [[grad] for grad in grads])
    drive(AdaptiveMomentum([up], maximize=True, **member), [up], [[-grad] for grad in grads])
    assert torch.equal(down.detach(), up.detach())


@members
def test_complex_parameters_are_pairs_of_reals(stream, drive, member) -> None:
    grads = stream((9, 2), 30)
    whole = torch.nn.Parameter(torch.ones(9, dtype=torch.complex64))
    pairs = torch.nn.Parameter(torch.view_as_real(whole.detach().clone()))
    drive(AdaptiveMomentum([whole], **member), [whole], [[torch.view_as_complex(grad)] for grad in grads])
    drive(AdaptiveMomentum([pairs], **member), [pairs], [[grad] for grad in grads])
    assert torch.equal(torch.view_as_real(whole.detach()), pairs.detach())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@members
def test_half_precision_counts_as_float32_does(stream, drive, member, dtype) -> None:
    grads = [grad.to(dtype) for grad in stream((40,), 60)]
    half, full = torch.nn.Parameter(torch.ones(40, dtype=dtype)), torch.nn.Parameter(torch.ones(40))
    for param in (half, full):
        optimizer = AdaptiveMomentum([param], lr=1e-3, **member)
        drive(optimizer, [param], [[grad.to(param.dtype)] for grad in grads])
        if param is half:
            counts = optimizer.state[half]["count"].clone()
    assert torch.equal(counts, optimizer.state[full]["count"])
    assert half.dtype == dtype


@pytest.mark.parametrize("rule", ["paper", "bounded"])
def test_sparse_gradients_are_exact_for_the_rules_without_momentum(rule) -> None:
    tables = [torch.nn.Embedding(10, 4, sparse=sparse) for sparse in (True, False)]
    tables[1].load_state_dict(tables[0].state_dict())
    optimizers = [AdaptiveMomentum(table.parameters(), rule=rule) for table in tables]
    for step in range(30):
        words = torch.tensor([step % 3, 7, step % 3])
        for table, optimizer in zip(tables, optimizers, strict=True):
            optimizer.zero_grad()
            (table(words) ** 3).sum().backward()
            optimizer.step()
    assert torch.equal(tables[0].weight, tables[1].weight)
    counts = [o.state[t.weight]["count"] for o, t in zip(optimizers, tables, strict=True)]
    assert torch.equal(*counts)
    assert counts[0].any()


@pytest.mark.parametrize("settings", [{"rule": "adam"}, {"rule": "bounded", "weight_decay": 0.1}])
def test_sparse_gradients_are_refused_where_they_could_not_be_exact(settings) -> None:
    table = torch.nn.Embedding(10, 4, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(EquipoiseError, match="sparse gradients"):
        AdaptiveMomentum(table.parameters(), **settings).step()


@members
def test_schedulers_change_the_learning_rate_and_nothing_else(stream, drive, member) -> None:
    scheduled, plain = torch.nn.Parameter(torch.ones(8)), torch.nn.Parameter(torch.ones(8))
    grads = [[grad] for grad in stream((8,), 10)]
    optimizer, twin = (AdaptiveMomentum([p], lr=0.1, **member) for p in (scheduled, plain))
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, gamma=0.5)
    for grad in grads:
        before = scheduled.detach().clone(), plain.detach().clone()
        drive(optimizer, [scheduled], [grad])
        drive(twin, [plain], [grad])
        factor = optimizer.param_groups[0]["lr"] / 0.1
        moves = scheduled.detach() - before[0], plain.detach() - before[1]
        torch.testing.assert_close(moves[0], factor * moves[1], rtol=2e-2, atol=3e-7)
        schedule.step()
    assert torch.equal(optimizer.state[scheduled]["count"], twin.state[plain]["count"])


def test_a_gradient_scaler_that_finds_infinities_skips_step_and_count() -> None:
    param = torch.nn.Parameter(torch.ones(3))
    optimizer = AdaptiveMomentum([param], rule="bounded")
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    scaler.scale((param * torch.tensor([1.0, math.inf, 1.0])).sum()).backward()
    scaler.step(optimizer)
    scaler.update()
    assert torch.equal(param.detach(), torch.ones(3))
    assert param not in optimizer.state


def test_weight_decay_is_decoupled_and_uses_the_learning_rate_alone(drive) -> None:
    param = torch.nn.Parameter(torch.full((2,), 8.0))
    optimizer = AdaptiveMomentum([param], lr=0.5, rule="bounded", alpha=10.0, weight_decay=0.1, beta0=2.0)
    drive(optimizer, [param], [[torch.zeros(2)]] * 2)
    assert param.tolist() == pytest.approx([8 * 0.95**2] * 2)


@pytest.mark.long
def test_adam_in_a_users_script_is_replaced_in_one_line() -> None:
    def script(make) -> float:
        generator = torch.Generator().manual_seed(0)
        images = torch.randn(64, 1, 8, 8, generator=generator)
        labels = (images.mean((1, 2, 3)) > 0).long()
        torch.manual_seed(0)
        model = torch.nn.Sequential(
            torch.nn.Conv2d(1, 8, 3),
            torch.nn.BatchNorm2d(8),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(288, 2),
        )
        optimizer = make(model.parameters(), lr=3e-3)
        for _ in range(30):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        return loss.item()

    with torch.random.fork_rng():
        theirs = script(torch.optim.Adam)
        ours = script(lambda params, lr: AdaptiveMomentum(params, lr=lr, rule="adam"))
    assert theirs < 0.1
    assert ours < 0.1
