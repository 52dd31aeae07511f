"""Contract suite of models: check that a network trains, predicts and saves as a trial assumes."""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from torch import nn
from torch.nn.parameter import UninitializedParameter

from equipoise import models
from equipoise.errors import EquipoiseError
from equipoise.lookup import resolve
from equipoise.models.adapter import in_order
from equipoise.tasks import CLASSIFICATION, SEGMENTATION, task_named
from equipoise.testing.model_sizes import answers_other_sizes
from equipoise.testing.violation import ContractViolation, as_violation, clause_of
from equipoise.training.loop.answer_scale import squashed_by
from equipoise.zoo import refuse_without_adapter

Factory = Callable[..., nn.Module]
TASKS = (CLASSIFICATION.network, SEGMENTATION.network)
SIDES = {2: 48, 3: 32}
"""Pixels per side of the images that a network is tested with, by spatial dimensions."""
TOLERANCE = 1e-4
"""Largest allowed difference, in units of the largest logit, between a case alone and the same case in a batch."""


@dataclass(frozen=True)
class ModelReport:
    """The clauses that were checked and hold: one (clause, task, spatial dimensions) per row.

    Attributes:
        name: the factory's name.
        clauses: rows in the order they were checked.
        remarks: what no trial depends on, one sentence each: for example that the network cannot be exported.
    """

    name: str
    clauses: tuple[tuple[str, str, int], ...]
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        held = [f"{self.name}: {clause} ({task}, {dims}D)" for clause, task, dims in self.clauses]
        return "\n".join([*held, *(f"{self.name}: remark: {remark}" for remark in self.remarks)])


@dataclass(frozen=True)
class _Trial:
    """A factory, a task and a number of dimensions under test."""

    factory: Factory
    name: str
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
        clause = "builds a torch module"
        with torch.random.fork_rng(devices=[]), as_violation(self.subject(clause)):
            torch.manual_seed(seed)
            model = in_order(self.factory)(channels, classes, self.spatial_dims, **self.settings)
        if not isinstance(model, nn.Module):
            raise self.violation(clause, f"returned {type(model).__name__}")
        lazy = [name for name, parameter in model.named_parameters() if isinstance(parameter, UninitializedParameter)]
        if lazy:
            raise self.violation(
                clause,
                f"{', '.join(lazy[:3])} get their sizes at the first batch, but optimizers and pretrained weights need "
                "them before; give these layers their sizes (nn.Conv2d in place of nn.LazyConv2d)",
            )
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

    def subject(self, clause: str) -> str:
        """Return the beginning of the sentence of a clause that does not hold."""
        return f"model {self.name} breaks the clause '{clause}' ({self.task} in {self.spatial_dims}D)"

    def violation(self, clause: str, fault: str) -> ContractViolation:
        """Make the error for a clause that does not hold."""
        return ContractViolation(f"{self.subject(clause)}: {fault}.")


def check_model(
    factory: Factory | str | Mapping[str, Any],
    *,
    spatial_dims: int | Sequence[int] | None = None,
    tasks: str | Sequence[str] | None = None,
    settings: Mapping[str, Any] | None = None,
    in_channels: int = 2,
    out_channels: int = 3,
    size: int | Sequence[int] | Mapping[int, Sequence[int]] | None = None,
    odd_sizes: bool = True,
    export: bool = False,
) -> ModelReport:
    """Check that `factory` keeps the contract `(in_channels, out_channels, spatial_dims, **settings) -> nn.Module`.

    Args:
        factory: the class or function that a protocol would name; or the model as a protocol spells it, "unet",
            "my_nets:Net" or {"name": "unet", "preset": "tiny"}.
        spatial_dims: dimensions that the network supports, one number or several; by default 2 and 3.
        tasks: tasks that it supports, one or several, as a protocol spells them ("detection" asks for a network of
            masks); passed as `task=` only where the factory takes it, as in a trial. By default the task in the
            settings, else classification and segmentation.
        settings: settings to build it with.
        in_channels: channels of the test images; a network with one more channel and one class is built as well.
        out_channels: classes of the test.
        size: spatial size of the test images, one for all or by dimensions; by default 48x48 and 32x32x32.
        odd_sizes: also test sizes that no power of two divides; turn it off for a network with a fixed input size.
        export: also export the network with free sizes and let it answer three odd shapes (some seconds for each task
            and dimension); what fails is a remark of the report, because no trial depends on it.

    Raises:
        ContractViolation: the first clause that does not hold.
    """
    factory, name, given = _named(factory, dict(settings or {}))
    rows: list[tuple[str, str, int]] = []
    remarks: list[str] = []
    clauses = [c for c in CLAUSES if odd_sizes or c is not _any_size]
    for dims in _several(spatial_dims, tuple(SIDES)):
        for task in _several(tasks, (str(given["task"]),) if "task" in given else TASKS):
            spatial = _sides(size, dims)
            trial = _Trial(
                factory, name, task, dims, _with_task(factory, given, task), in_channels, out_channels, spatial
            )
            for clause in clauses:
                with _of_fewer_dimensions(spatial_dims, dims), as_violation(trial.subject(clause_of(clause))):
                    clause(trial)
                rows.append((clause_of(clause), task, dims))
            fault = answers_other_sizes(trial.build(), trial.images()) if export else None
            remarks += [] if fault is None else [f"{fault} ({task}, {dims}D)"]
    return ModelReport(name, tuple(rows), tuple(remarks))


def _named(factory: Factory | str | Mapping[str, Any], settings: dict[str, Any]) -> tuple[Factory, str, dict[str, Any]]:
    """Return the factory, its name and its settings; a protocol's spelling is resolved as in a trial."""
    if callable(factory):
        return factory, getattr(factory, "__name__", repr(factory)), settings
    spelt = {"name": factory} if isinstance(factory, str) else dict(factory)
    name = str(spelt.pop("name", ""))
    refuse_without_adapter(name, spelt, Path.cwd())
    return resolve(name, models, "model", Path.cwd()), name, spelt | settings


@contextmanager
def _of_fewer_dimensions(chosen: object, dims: int) -> Iterator[None]:
    """Say how a network for images in 2D alone is checked, where 3D was not asked for and 2D has passed."""
    try:
        yield
    except ContractViolation as error:
        if chosen is not None or dims == 2:
            raise
        text = f"{error} In 2D it keeps every clause: if it is for 2D alone, pass spatial_dims=2."
        raise ContractViolation(text) from error


def _several(given: Any, default: Sequence[Any]) -> Sequence[Any]:
    """Return one value or several as a sequence."""
    if given is None:
        return default
    return given if isinstance(given, list | tuple) else (given,)


def _sides(size: int | Sequence[int] | Mapping[int, Sequence[int]] | None, dims: int) -> tuple[int, ...]:
    sides = size.get(dims) if isinstance(size, Mapping) else size
    if dims not in SIDES:
        raise EquipoiseError(
            f"networks work in 2 or 3 spatial dimensions, not {dims!r}; pass spatial_dims=2, 3 or both."
        )
    return (sides or SIDES[dims],) * dims if isinstance(sides, int | None) else tuple(sides)


def _with_task(factory: Factory, settings: dict[str, Any], task: str) -> dict[str, Any]:
    """Return the settings with the task where the factory takes it, under the network's name as in a trial."""
    network = task_named(task).network
    takes = "task" in inspect.signature(factory).parameters and "task" not in settings
    return settings | ({"task": network} if takes else {})


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
            raise trial.violation(clause_of(_shape), f"evaluation returns {type(output).__name__}, not one tensor")
        shape = tuple(_logits(output).shape)
        if shape != expected:
            raise trial.violation(clause_of(_shape), f"expected {expected}, found {shape}")


def _scores(trial: _Trial) -> None:
    """Answers are logits, not probabilities."""
    model = trial.build().eval()
    kind = squashed_by(model, lambda images: _logits(model(images)), trial.images())
    if kind is not None:
        raise trial.violation(
            clause_of(_scores), f"all outputs lie in [0, 1], as after {kind}; leave it out, the loss applies it"
        )


def _other_channels(trial: _Trial) -> None:
    """Other numbers of channels and classes are taken."""
    channels = trial.in_channels + 1
    model = trial.build(in_channels=channels, out_channels=1).eval()
    with torch.no_grad():
        shape = tuple(model(trial.images(channels=channels)).shape)
    if shape != trial.expected(out_channels=1):
        raise trial.violation(clause_of(_other_channels), f"{channels} channels and 1 class give shape {shape}")


def _any_size(trial: _Trial) -> None:
    """Sizes that no power of two divides are taken, and differ by axis."""
    size = tuple(side + step for side, step in zip(trial.size, (1, 3, 5), strict=False))
    model = trial.build().eval()
    with as_violation(f"{trial.subject(clause_of(_any_size))}, size {size}"), torch.no_grad():
        shape = tuple(model(trial.images(size)).shape)
    if shape != trial.expected(size):
        raise trial.violation(clause_of(_any_size), f"size {size} gives shape {shape}")


def _finite(trial: _Trial) -> None:
    """Logits are finite for ordinary, blank and very bright images."""
    model = trial.build().eval()
    images = trial.images()
    with torch.no_grad():
        for name, batch in (("ordinary", images), ("blank", images * 0), ("bright", images * 1000)):
            if not bool(model(batch).isfinite().all()):
                raise trial.violation(clause_of(_finite), f"{name} images give logits that are not finite")


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
        raise trial.violation(clause_of(_gradients), f"none reaches {', '.join(silent[:5])}")


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
        raise trial.violation(clause_of(_gradients), "one backward pass gives gradients that are not finite")
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
        raise trial.violation(clause_of(_independent), f"logits change by {difference:.1e} of the largest")


def _deterministic(trial: _Trial) -> None:
    """The same seed gives the same weights, and evaluation twice the same logits."""
    first, second = trial.build(seed=5), trial.build(seed=5)
    for name, tensor in first.state_dict().items():
        if not torch.equal(tensor, second.state_dict()[name]):
            raise trial.violation(clause_of(_deterministic), f"{name} differs between two builds from one seed")
    with torch.no_grad():
        once, again = first.eval()(trial.images()), first(trial.images())
    if not torch.equal(once, again):
        raise trial.violation(clause_of(_deterministic), "two evaluations of one batch differ")


def _untouched(trial: _Trial) -> None:
    """The images, and in evaluation the model's state, are left as they were."""
    model = trial.build().eval()
    images, before = trial.images(), copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model(images)
    if not torch.equal(images, trial.images()):
        raise trial.violation(clause_of(_untouched), "the forward pass writes into its images")
    changed = [name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])]
    if changed:
        raise trial.violation(clause_of(_untouched), f"evaluation changes {', '.join(changed[:5])}")


def _round_trip(trial: _Trial) -> None:
    """Saved as safetensors and loaded into a fresh network, the logits are the same, bit for bit."""
    model = trial.build(seed=7)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        # Moves the running statistics away from their initial values, which a fresh network has as well.
        model.train()(trial.images())
    try:
        data = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    except RuntimeError as error:
        raise trial.violation(clause_of(_round_trip), f"safetensors refuses the state ({error})") from error
    fresh = trial.build(seed=8)
    fresh.load_state_dict(load(data))
    with torch.no_grad():
        if not torch.equal(model.eval()(trial.images()), fresh.eval()(trial.images())):
            raise trial.violation(clause_of(_round_trip), "logits differ, so some state is not in state_dict")


CLAUSES: tuple[Callable[[_Trial], None], ...] = (
    _shape,
    _scores,
    _untouched,
    _other_channels,
    _any_size,
    _finite,
    _gradients,
    _independent,
    _deterministic,
    _round_trip,
)
