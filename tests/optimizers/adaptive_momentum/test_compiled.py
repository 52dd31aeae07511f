"""The compiled kernel gives the reference's bits, whatever the layout, and says why where it cannot be built."""

import functools
import math

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given, settings

from equipoise.errors import EquipoiseError
from equipoise.optimizers import AdaptiveMomentum
from equipoise.optimizers.adaptive_momentum import compiled

needs_compiler = pytest.mark.skipif(not compiled.works(), reason="this machine has no C compiler; set CC to one")

MEMBERS = [("paper", "element"), ("bounded", "element"), ("agreement", "element"), ("agreement", "tensor")]
MEMBERS += [("adam", "element"), ("adam", "tensor")]


def tensors() -> list[torch.Tensor]:
    """Every layout a network's parameters come in, and sizes around those of vectors and blocks."""
    generator = torch.Generator().manual_seed(0)
    draw = functools.partial(torch.randn, generator=generator)
    return [
        draw(50, 1001),
        draw(()),
        draw(0),
        draw(17),
        draw(256),
        draw(257),
        draw(8, 4, 3, 3).to(memory_format=torch.channels_last),
        draw(4, 2, 3, 3, 3).to(memory_format=torch.channels_last_3d),
        draw(40, 30).t(),  # not in row order: left to the loop
        draw(20, 20)[:, ::2],  # gaps in memory: left to the loop
    ]


def run(path: str, rule: str, per: str, steps: int = 130, seed: int = 1, **settings):
    """Parameters, counts and paths after steps on the same gradients, with zeros and a NaN among them."""
    generator = torch.Generator().manual_seed(seed)
    params = [torch.nn.Parameter(tensor) for tensor in tensors()]
    kappa = {"alpha": 0.03} if rule == "paper" else {"alpha": 1.0}
    optimizer = AdaptiveMomentum(params, rule=rule, per=per, path=path, **kappa, **settings)
    for step in range(steps):
        for param in params:
            grad = torch.randn(param.shape, generator=generator) + 0.3
            grad = grad * (torch.rand(param.shape, generator=generator) > 0.1)
            param.grad = grad.contiguous() if step % 2 else torch.empty_like(param).copy_(grad)
        if step == 70:
            params[3].grad[3] = math.nan
        optimizer.step()
    return params, [optimizer.state[param]["count"] for param in params], optimizer.paths_taken


def same(a, b) -> bool:
    return all(torch.equal(x.nan_to_num(7.0), y.nan_to_num(7.0)) for x, y in zip(a, b, strict=True))


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize(("rule", "per"), MEMBERS)
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.01, "maximize": True}], ids=["plain", "decay-maximize"])
def test_compiled_equals_the_loop_to_the_last_bit(rule, per, settings) -> None:
    expected, counts, _ = run("loop", rule, per, **settings)
    params, compiled_counts, taken = run("compiled", rule, per, **settings)
    assert same(params, expected)
    assert same(compiled_counts, counts)
    assert taken == {"compiled": 8, "loop": 2}


@pytest.mark.long
@needs_compiler
@pytest.mark.parametrize(("rule", "per"), MEMBERS)
def test_the_number_of_threads_changes_no_bit(rule, per, monkeypatch) -> None:
    expected, *_ = run("compiled", rule, per, steps=20)
    monkeypatch.setattr(compiled, "_SMALLEST_SHARE", 1000)  # so that small tensors are shared out too
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    params, *_ = run("compiled", rule, per, steps=20)
    assert same(params, expected)


@pytest.mark.long
@settings(max_examples=50, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3_000_000), min_size=1, max_size=40),
    threads=st.integers(1, 16),
    per=st.sampled_from(["element", "tensor"]),
)
def test_shares_cover_every_element_once_and_evenly(sizes, threads, per) -> None:
    param = torch.nn.Parameter(torch.zeros(1))
    optimizer = AdaptiveMomentum([param], per=per)
    param.grad = torch.ones(1)
    (batch,) = optimizer._batches(optimizer.param_groups[0])
    start, entries = 0, []
    for size in sizes:
        entries.append((start, start, 0, start, start, size))
        start += 4 * size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch, "get_num_threads", lambda: threads)
        shares = compiled._shares(entries, batch)
    pieces = sorted((entry[0], entry[-1]) for share in shares for entry in share if entry[-1])
    ends = [address + 4 * size for address, size in pieces]
    assert [0, *ends[:-1]] == [address for address, _ in pieces]
    assert ends[-1] == start
    assert len(shares) <= threads
    largest = max(sum(entry[-1] for entry in share) for share in shares)
    whole_tensors = max(sizes) if per == "tensor" else 0
    assert largest <= sum(sizes) / len(shares) + whole_tensors + 1


@pytest.mark.long
@needs_compiler
def test_dtypes_and_leaks_the_kernel_does_not_know_go_to_the_loop() -> None:
    double = torch.nn.Parameter(torch.zeros(3, dtype=torch.float64))
    half = torch.nn.Parameter(torch.zeros(3, dtype=torch.bfloat16))
    leaky = torch.nn.Parameter(torch.zeros(3))
    groups = [{"params": [double, half]}, {"params": [leaky], "leak": True}]
    optimizer = AdaptiveMomentum(groups, path="compiled")
    for param in (double, half, leaky):
        param.grad = torch.ones_like(param)
    optimizer.step()
    assert optimizer.paths_taken == {"loop": 3}


@pytest.mark.long
def test_counts_outside_the_table_are_brought_within_it() -> None:
    """A loaded or edited state must never make the kernel read beyond its table."""
    ends = []
    for path in ("loop", "auto"):
        for rule in ("bounded", "agreement"):
            param = torch.nn.Parameter(torch.zeros(40))
            optimizer = AdaptiveMomentum([param], rule=rule, per="element", path=path)
            param.grad = torch.ones(40)
            optimizer.step()
            optimizer.state[param]["count"].fill_(127)
            optimizer.step()
            ends.append(param.detach())
    assert torch.equal(ends[0], ends[2])
    assert torch.equal(ends[1], ends[3])


def test_a_state_in_another_precision_is_not_read_as_float32() -> None:
    double, single = torch.nn.Parameter(torch.ones(40, dtype=torch.float64)), torch.nn.Parameter(torch.ones(40))
    saved = AdaptiveMomentum([double], rule="adam")
    double.grad = torch.ones_like(double)
    saved.step()
    optimizer = AdaptiveMomentum([single], rule="adam")
    optimizer.load_state_dict(saved.state_dict())
    for param, taker in ((double, saved), (single, optimizer)):
        param.grad, param.data = torch.ones_like(param), torch.ones_like(param)
        taker.step()
    assert optimizer.paths_taken == {"loop": 1}
    torch.testing.assert_close(single.detach().double(), double.detach(), rtol=1e-6, atol=0)


@pytest.fixture
def fresh_build():
    """Builds are remembered for the process; forget them before and after."""
    compiled.build.cache_clear()
    compiled.works.cache_clear()
    yield
    compiled.build.cache_clear()
    compiled.works.cache_clear()


@pytest.mark.usefixtures("fresh_build")
def test_without_a_compiler_auto_loops_visibly_and_compiled_refuses(monkeypatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    param = torch.nn.Parameter(torch.zeros(3))
    param.grad = torch.ones(3)
    optimizer = AdaptiveMomentum([param])
    optimizer.step()
    assert optimizer.paths_taken == {"loop": 1}
    with pytest.raises(EquipoiseError, match="no C compiler here"):
        AdaptiveMomentum([param], path="compiled").step()


@pytest.mark.usefixtures("fresh_build")
def test_a_failing_compiler_is_quoted(monkeypatch, tmp_path) -> None:
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\necho 'disk full' >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(EquipoiseError, match=r"could not build adaptive_momentum\.c \(disk full\); use path='loop'"):
        compiled.build(torch.int8)
    assert not compiled.works()
