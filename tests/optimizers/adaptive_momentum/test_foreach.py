"""The multi-tensor path (for accelerators) against the loop, on the CPU."""

import pytest
import torch

from equipoise.optimizers import AdaptiveMomentum

MEMBERS = [("paper", "element"), ("bounded", "element"), ("agreement", "element"), ("agreement", "tensor")]
MEMBERS += [("adam", "element"), ("adam", "tensor")]


@pytest.mark.long
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("rule", "per"), MEMBERS)
def test_foreach_counts_as_the_loop_and_moves_the_same(stream, drive, rule, per, leak, dtype) -> None:
    if rule == "paper" and leak:
        return  # refused by the rule
    shapes = [(5, 9), (), (0,), (64,)]
    grads = list(zip(*(stream(shape, 60, seed) for seed, shape in enumerate(shapes)), strict=True))
    ends = []
    for path in ("loop", "foreach"):
        params = [torch.nn.Parameter(torch.ones(shape, dtype=dtype)) for shape in shapes]
        settings = {"beta0": 0.5, "weight_decay": 0.01, "leak": leak, "path": path}
        optimizer = AdaptiveMomentum(params, 0.01, rule=rule, per=per, **settings)
        drive(optimizer, params, [[grad.to(dtype) for grad in step] for step in grads])
        ends.append((params, [optimizer.state[param]["count"] for param in params]))
    assert optimizer.paths_taken == {"foreach": 4}
    rounding = {torch.float32: 2e-6, torch.float64: 1e-6, torch.bfloat16: 2e-2}[dtype]
    for ours, reference in zip(ends[1][0], ends[0][0], strict=True):
        torch.testing.assert_close(ours, reference, rtol=rounding, atol=rounding)
    if not leak:
        assert all(torch.equal(a, b) for a, b in zip(ends[0][1], ends[1][1], strict=True))


@pytest.mark.long
def test_gradients_are_left_as_they_were(stream) -> None:
    """Callers may still want them (logging, clipping statistics, accumulation)."""
    for path in ("loop", "foreach", "auto"):
        for rule in ("paper", "bounded", "agreement", "adam"):
            param = torch.nn.Parameter(torch.ones(30))
            param.grad = stream((30,), 1)[0]
            before = param.grad.clone()
            AdaptiveMomentum([param], rule=rule, weight_decay=0.1, path=path).step()
            assert torch.equal(param.grad, before)
