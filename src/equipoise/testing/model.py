"""Contract suite of models: check that a network trains, predicts and saves as a trial assumes."""

import copy
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn

from equipoise.errors import EquipoiseError
from equipoise.models.adapter import in_order
from equipoise.tasks import CLASSIFICATION, SEGMENTATION, task_named

Factory = Callable[..., nn.Module]
TASKS = (CLASSIFICATION.network, SEGMENTATION.network)
SIDES = {2: 48, 3: 32}
"""Pixels per side of the images that a network is tested with, by spatial dimensions."""
TOLERANCE = 1e-4
"""Largest allowed difference, in units of the largest logit, between a case alone and the same case in a batch."""


class ContractViolation(EquipoiseError, AssertionError):
    """A model, an optimizer or a cohort breaks a clause of its contract; the message names the clause and the fault."""


@dataclass(frozen=True)
class ModelReport:
    """The clauses that were checked and hold: one (clause, task, spatial dimensions) per row.

    Attributes:
        name: the factory's name.
        clauses: rows in the order they were checked.
    """

    name: str
    clauses: tuple[tuple[str, str, int], ...]

    def __str__(self) -> str:
        return "\n".join(f"{self.name}: {clause} ({task}, {dims}D)" for clause, task, dims in self.clauses)


@dataclass(frozen=True)
class _Trial:
    """A factory, a task and a number of dimensions under test."""

    factory: Factory
    task: str
    spatial_dims: int
    settings: Mapping[str, object]
    in_channels: int
    out_channels: int
    size: tuple[int, ...]
    cases: int = 3

    def build(self, seed: int = 0, in_channels: int | None = None, out_channels: int | None = None) -> nn.Module:
        """Build the network with weights drawn from `seed`; the state of torch's generator is restored."""
        channels = self.in_channels if in_channels is None else in_channels
        classes = self.out_channels if out_channels is None else out_channels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = in_order(self.factory)(channels, classes, self.spatial_dims, **self.settings)
        if not isinstance(model, nn.Module):
            raise self.violation("builds a torch module", f"returned {type(model).__name__}")
        return model

    def images(self, size: Sequence[int] | None = None, channels: int | None = None) -> torch.Tensor:
        """Return a fixed batch of standard normal images."""
        shape = (self.cases, self.in_channels if channels is None else channels, *(size or self.size))
        return torch.randn(shape, generator=torch.Generator().manual_seed(1))

    def expected(self, size: Sequence[int] | None = None, out_channels: int | None = None) -> tuple[int, ...]:
        """Return the shape that the logits must have."""
        classes = self.out_channels if out_channels is None else out_channels
        spatial = tuple(size or self.size) if task_named(self.task).answers_voxels else ()
        return (self.cases, classes, *spatial)

    def violation(self, clause: str, fault: str) -> ContractViolation:
        """Make the error for a clause that does not hold."""
        name = getattr(self.factory, "__name__", repr(self.factory))
        where = f"{self.task} in {self.spatial_dims}D"
        return ContractViolation(f"model {name} breaks the clause '{clause}' ({where}): {fault}.")


def check_model(
    factory: Factory,
    *,
    spatial_dims: Sequence[int] = (2, 3),
    tasks: Sequence[str] = TASKS,
    settings: Mapping[str, Any] | None = None,
    in_channels: int = 2,
    out_channels: int = 3,
    size: Sequence[int] | Mapping[int, Sequence[int]] | None = None,
    odd_sizes: bool = True,
) -> ModelReport:
    """Check that `factory` keeps the contract `(in_channels, out_channels, spatial_dims, **settings) -> nn.Module`.

    Args:
        factory: the class or function that a protocol would name.
        spatial_dims: dimensions that the network supports.
        tasks: tasks that it supports; passed as `task=` only where the factory takes it, as in a trial.
        settings: settings to build it with.
        in_channels: channels of the test images; a network with one more channel and one class is built as well.
        out_channels: classes of the test.
        size: spatial size of the test images, one for all or by dimensions; by default 48x48 and 32x32x32.
        odd_sizes: also test sizes that no power of two divides; turn it off for a network with a fixed input size.

    Raises:
        ContractViolation: the first clause that does not hold.
    """
    rows: list[tuple[str, str, int]] = []
    clauses = [c for c in CLAUSES if odd_sizes or c is not _any_size]
    for dims in spatial_dims:
        for task in tasks:
            given = dict(settings or {})
            if "task" in inspect.signature(factory).parameters:
                given["task"] = task
            sides = size.get(dims) if isinstance(size, Mapping) else size
            spatial = tuple(sides) if sides else (SIDES[dims],) * dims
            trial = _Trial(factory, task, dims, given, in_channels, out_channels, spatial)
            for clause in clauses:
                clause(trial)
                rows.append((_clause(clause), task, dims))
    return ModelReport(getattr(factory, "__name__", repr(factory)), tuple(rows))


def _logits(output: Any) -> torch.Tensor:
    """Return the full-resolution logits: the output, or the first of a list (deep supervision)."""
    logits: torch.Tensor = output[0] if isinstance(output, list | tuple) else output
    return logits


def _shape(trial: _Trial) -> None:
    """Logits have the shape of the task, in training and in evaluation."""
    model, expected = trial.build(), trial.expected()
    for mode in (True, False):
        output = model.train(mode)(trial.images())
        if not mode and not isinstance(output, torch.Tensor):
            raise trial.violation(_clause(_shape), f"evaluation returns {type(output).__name__}, not one tensor")
        shape = tuple(_logits(output).shape)
        if shape != expected:
            raise trial.violation(_clause(_shape), f"expected {expected}, found {shape}")


def _other_channels(trial: _Trial) -> None:
    """Other numbers of channels and classes are taken."""
    channels = trial.in_channels + 1
    model = trial.build(in_channels=channels, out_channels=1).eval()
    with torch.no_grad():
        shape = tuple(model(trial.images(channels=channels)).shape)
    if shape != trial.expected(out_channels=1):
        raise trial.violation(_clause(_other_channels), f"{channels} channels and 1 class give shape {shape}")


def _any_size(trial: _Trial) -> None:
    """Sizes that no power of two divides are taken, and differ by axis."""
    size = tuple(side + step for side, step in zip(trial.size, (1, 3, 5), strict=False))
    model = trial.build().eval()
    try:
        with torch.no_grad():
            shape = tuple(model(trial.images(size)).shape)
    except (RuntimeError, ValueError, EquipoiseError) as error:
        raise trial.violation(_clause(_any_size), f"size {size} fails with {error}") from error
    if shape != trial.expected(size):
        raise trial.violation(_clause(_any_size), f"size {size} gives shape {shape}")


def _finite(trial: _Trial) -> None:
    """Logits are finite for ordinary, blank and very bright images."""
    model = trial.build().eval()
    images = trial.images()
    with torch.no_grad():
        for name, batch in (("ordinary", images), ("blank", images * 0), ("bright", images * 1000)):
            if not bool(model(batch).isfinite().all()):
                raise trial.violation(_clause(_finite), f"{name} images give logits that are not finite")


def _gradients(trial: _Trial) -> None:
    """Gradients reach every trainable parameter."""
    model = trial.build()
    silent = _without_gradient(trial, model)
    if silent:
        # Weights initialised with zero (residual branches, zero-init heads) block gradients on the first step only, so
        # the verdict is made from slightly disturbed weights.
        model = trial.build()
        generator = torch.Generator().manual_seed(2)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.01)
        silent = _without_gradient(trial, model)
    if silent:
        raise trial.violation(_clause(_gradients), f"none reaches {', '.join(silent[:5])}")


def _without_gradient(trial: _Trial, model: nn.Module) -> list[str]:
    """Return the names of trainable parameters whose gradient is missing or zero after one backward pass."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        output = model.train()(trial.images())
    # Targets that differ everywhere: a constant one could cancel in a symmetric network.
    loss = torch.zeros(())
    for logits in output if isinstance(output, list | tuple) else [output]:
        loss = loss + (logits - torch.linspace(0, 1, logits.numel()).reshape(logits.shape)).square().mean()
    loss.backward()  # type: ignore[no-untyped-call]
    trainable = [(name, p.grad) for name, p in model.named_parameters() if p.requires_grad]
    if any(g is not None and not bool(g.isfinite().all()) for _, g in trainable):
        raise trial.violation(_clause(_gradients), "one backward pass gives gradients that are not finite")
    return [name for name, grad in trainable if grad is None or not bool(grad.any())]


def _independent(trial: _Trial) -> None:
    """In evaluation a case's logits do not depend on the batch it is in."""
    model = trial.build().eval()
    images = trial.images()
    with torch.no_grad():
        in_batch = model(images)
        alone = torch.cat([model(image[None]) for image in images])
    difference = float((in_batch - alone).abs().max() / in_batch.abs().max().clamp_min(1e-6))
    if not difference <= TOLERANCE:
        raise trial.violation(_clause(_independent), f"logits change by {difference:.1e} of the largest")


def _deterministic(trial: _Trial) -> None:
    """The same seed gives the same weights, and evaluation twice the same logits."""
    first, second = trial.build(seed=5), trial.build(seed=5)
    for name, tensor in first.state_dict().items():
        if not torch.equal(tensor, second.state_dict()[name]):
            raise trial.violation(_clause(_deterministic), f"{name} differs between two builds from one seed")
    with torch.no_grad():
        once, again = first.eval()(trial.images()), first(trial.images())
    if not torch.equal(once, again):
        raise trial.violation(_clause(_deterministic), "two evaluations of one batch differ")


def _untouched(trial: _Trial) -> None:
    """The images, and in evaluation the model's state, are left as they were."""
    model = trial.build().eval()
    images, before = trial.images(), copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model(images)
    if not torch.equal(images, trial.images()):
        raise trial.violation(_clause(_untouched), "the forward pass writes into its images")
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    if changed:
        raise trial.violation(_clause(_untouched), f"evaluation changes {', '.join(changed[:5])}")


def _round_trip(trial: _Trial) -> None:
    """Saved as safetensors and loaded into a fresh network, the logits are the same, bit for bit."""
    model = trial.build(seed=7)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # Moves the running statistics away from their initial values, which a fresh network has as well.
        model.train()(trial.images())
    try:
        data = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    except RuntimeError as error:
        raise trial.violation(_clause(_round_trip), f"safetensors refuses the state ({error})") from error
    fresh = trial.build(seed=8)
    fresh.load_state_dict(load(data))
    with torch.no_grad():
        if not torch.equal(model.eval()(trial.images()), fresh.eval()(trial.images())):
            raise trial.violation(_clause(_round_trip), "logits differ, so some state is not in state_dict")


def _clause(check: Callable[[_Trial], None]) -> str:
    """Return the clause that a check tests: its docstring without the full stop."""
    return (check.__doc__ or "").rstrip(".")


CLAUSES: tuple[Callable[[_Trial], None], ...] = (
    _shape,
    _untouched,
    _other_channels,
    _any_size,
    _finite,
    _gradients,
    _independent,
    _deterministic,
    _round_trip,
)
