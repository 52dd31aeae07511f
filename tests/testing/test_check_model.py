"""The contract suite itself: every clause must be breakable, and a good stranger passes."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

from equipoise import models
from equipoise.errors import EquipoiseError
from equipoise.testing import check_model, model_sizes
from equipoise.testing.model import CLAUSES, SIDES
from equipoise.testing.model_sizes import answers_other_sizes
from equipoise.testing.violation import ContractViolation


class Plain(nn.Module):
    """A well-behaved classifier without `task`; its subclasses here break one clause each."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.convolution = {2: nn.Conv2d, 3: nn.Conv3d}[spatial_dims](in_channels, 8, 3, padding=1)
        self.norm = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[spatial_dims](8)
        self.last = nn.Linear(8, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.convolution(x)).relu().flatten(2).mean(2))


class WrongShape(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[..., None]


class ListInEvaluation(Plain):
    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [super().forward(x)]


class FixedClasses(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, 3, spatial_dims)


class EvenSizesOnly(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.unflatten(-1, (2, -1)).flatten(-2))


class NotFinite(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x / x.std())


class Unused(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        self.spare = nn.Linear(2, 2)


class Detached(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.convolution(x)).relu().flatten(2).mean(2).detach())


class BatchDependent(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x - x.mean(dim=0, keepdim=True))


class Random(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = super().forward(x)
        return logits * (1 + 1e-5 * torch.rand_like(logits))  # one draw for all might round to the same twice


class UnseededWeights(Plain):
    count = 0

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        UnseededWeights.count += 1
        nn.init.constant_(self.last.bias, UnseededWeights.count)


class WritesInput(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.mul_(1.5))


class CountsCalls(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().forward(x)


class HiddenState(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        self.register_buffer("scale", torch.rand(1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * self.scale


class SharedWeights(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        self.twin = self.last


class ZeroStart(Plain):
    """Legal: a gate that starts at zero keeps gradients from the rest on the first step only."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        nn.init.zeros_(self.last.weight)


class Softmax(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).softmax(1)


class Sigmoid(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).sigmoid()


class Lazy(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__()
        self.first, self.last = nn.LazyConv2d(8, 3, padding=1), nn.LazyLinear(out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x).relu().flatten(2).mean(2))


class RaisesKeyError(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return {}["skip"]


class Exits(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise SystemExit(3)


class CannotBeBuilt(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        1 / 0  # noqa: B018


class FlattensAll(Plain):
    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        super().__init__(in_channels, out_channels, spatial_dims)
        self.last = nn.Linear(8 * 48 * 48, out_channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.convolution(x).flatten(1))


BREAKERS = {
    Softmax: "all outputs lie in .* as after a softmax",
    Sigmoid: "all outputs lie in .* as after a sigmoid",
    Lazy: "first.weight, first.bias, last.weight get their sizes at the first batch",
    RaisesKeyError: r"KeyError: 'skip' \(test_check_model.py, line",
    Exits: "SystemExit: 3",
    CannotBeBuilt: "builds a torch module.*ZeroDivisionError",
    FlattensAll: "cannot be multiplied.*average over space before the linear layer",
    WrongShape: "Logits have the shape",
    ListInEvaluation: "evaluation returns list",
    FixedClasses: "Other numbers of channels and classes",
    EvenSizesOnly: "Sizes that no power of two divides",
    NotFinite: "blank images give logits that are not finite",
    Unused: "none reaches spare.weight, spare.bias",
    Detached: "none reaches convolution.weight",
    BatchDependent: "do not depend on the batch",
    Random: "two evaluations of one batch differ",
    UnseededWeights: "last.bias differs between two builds",
    WritesInput: "writes into its images",
    CountsCalls: "evaluation changes calls",
    HiddenState: "some state is not in state_dict",
    SharedWeights: "safetensors refuses the state",
}


@pytest.mark.parametrize("factory", BREAKERS, ids=lambda f: f.__name__)
def test_a_broken_clause_is_named(factory: type[Plain]) -> None:
    with pytest.raises(ContractViolation, match=BREAKERS[factory]) as error:
        check_model(factory, spatial_dims=[2], tasks=["classification"])
    assert str(error.value).startswith(f"model {factory.__name__} breaks the clause '")
    assert "classification in 2D" in str(error.value)
    assert isinstance(error.value, EquipoiseError)
    assert isinstance(error.value, AssertionError)


@pytest.mark.long
@pytest.mark.parametrize("factory", [Plain, ZeroStart])
def test_a_well_behaved_model_passes_every_clause(factory: type[Plain]) -> None:
    report = check_model(factory, tasks=["classification"])
    assert len(report.clauses) == len(CLAUSES) * len(SIDES)
    assert {dims for _, _, dims in report.clauses} == {2, 3}
    assert str(report).count(f"{factory.__name__}: ") == len(report.clauses)


def test_fixed_sizes_may_be_declared() -> None:
    report = check_model(EvenSizesOnly, spatial_dims=[2], tasks=["classification"], odd_sizes=False, size=[32, 16])
    assert len(report.clauses) == len(CLAUSES) - 1


class PlaneOnly(nn.Sequential):
    """A network for images in 2D alone, as most are that people bring."""

    def __init__(self, in_channels: int, out_channels: int, spatial_dims: int) -> None:
        del spatial_dims
        super().__init__(
            nn.Conv2d(in_channels, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(4, out_channels),
        )  # fmt: skip


def test_a_network_of_the_plane_is_told_how_it_is_checked() -> None:
    with pytest.raises(ContractViolation, match=r"in 3D.*for 2D alone, pass spatial_dims=2\.$"):
        check_model(PlaneOnly, tasks="classification")
    assert check_model(PlaneOnly, tasks="classification", spatial_dims=(2,)).clauses
    with pytest.raises(ContractViolation) as raised:
        check_model(PlaneOnly, tasks="classification", spatial_dims=3)
    assert "2D alone" not in str(raised.value)


def test_a_factory_that_returns_no_module_is_named() -> None:
    with pytest.raises(ContractViolation, match=r"builds a torch module.*returned dict"):
        check_model(lambda in_channels, out_channels, spatial_dims: {}, tasks=["classification"])


def test_task_and_settings_are_passed_only_where_the_factory_has_them() -> None:
    seen: list[dict[str, object]] = []

    def factory(in_channels: int, out_channels: int, spatial_dims: int, task: str, width: int = 1) -> nn.Module:
        seen.append({"task": task, "width": width})
        return Plain(in_channels, out_channels, spatial_dims)

    check_model(factory, spatial_dims=[2], tasks=["classification"], settings={"width": 5})
    assert seen[0] == {"task": "classification", "width": 5}


def test_the_callers_random_numbers_are_left_alone() -> None:
    before = torch.random.get_rng_state()
    check_model(Plain, spatial_dims=[2], tasks=["classification"])
    assert torch.equal(before, torch.random.get_rng_state())


def foreign(network: str, **fixed: object) -> Callable[..., nn.Module]:
    def build(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from monai.networks import nets

            return getattr(nets, network)(
                spatial_dims=spatial_dims, in_channels=in_channels, out_channels=out_channels, **fixed
            )

    return build


@pytest.mark.long
def test_a_strangers_segmenter_passes() -> None:
    build = foreign("BasicUNet", features=(4, 4, 8, 8, 8, 4))
    check_model(build, tasks=["segmentation"])


@pytest.mark.long
def test_a_network_of_the_zoo_passes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        timm = pytest.importorskip("timm", reason="needs the extra [zoo]")

    def build(in_channels: int, out_channels: int, spatial_dims: int) -> nn.Module:
        return timm.create_model("resnet18", in_chans=in_channels, num_classes=out_channels)

    check_model(build, spatial_dims=[2], tasks=["classification"])


@pytest.mark.slow
def test_swin_unetr_passes_with_its_fixed_size() -> None:
    pytest.importorskip("einops", reason="MONAI's SwinUNETR needs einops")
    build = foreign("SwinUNETR", feature_size=12)
    check_model(build, spatial_dims=[2], tasks=["segmentation"], size=[64, 64], odd_sizes=False)


@pytest.mark.long
def test_a_protocols_spelling_is_taken() -> None:
    report = check_model({"name": "unet", "preset": "tiny"}, spatial_dims=2, tasks="classification", size=16)
    assert {(task, dims) for _, task, dims in report.clauses} == {("classification", 2)}
    asked = check_model("deeplab", settings={"preset": "tiny", "task": "segmentation"}, spatial_dims=2, size=[16, 16])
    assert {task for _, task, _ in asked.clauses} == {"segmentation"}
    with pytest.raises(EquipoiseError, match=r"'resnet' is unknown; did you mean 'densenet'\\?"):
        check_model("resnet")


@pytest.mark.long
def test_detection_asks_for_a_network_of_masks() -> None:
    report = check_model({"name": "unet", "preset": "tiny"}, spatial_dims=[2], tasks=["detection"], size=16)
    assert {task for _, task, _ in report.clauses} == {"detection"}


class BranchesOnSizes(Plain):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x[..., :-1] if x.shape[-1] % 2 else x)


def test_an_exported_network_must_answer_as_its_model() -> None:
    model, images = Plain(1, 2, 2).eval(), torch.randn(2, 1, 6, 6)
    assert model_sizes._compared(model, model, images) is None
    with torch.no_grad():
        assert "output differs at the size (7, 9)" in str(model_sizes._compared(model, Plain(1, 2, 2).eval(), images))
    fixed = nn.Sequential(nn.Flatten(1), nn.Linear(36, 2))
    assert "fails on the size (7, 9)" in str(model_sizes._compared(model, fixed, images))


@pytest.mark.long
def test_a_network_that_branches_on_sizes_is_remarked() -> None:
    report = check_model(BranchesOnSizes, spatial_dims=[2], tasks=["classification"], export=True)
    (remark,) = report.remarks
    assert "do not branch on sizes" in remark
    assert "remark: after export, it" in str(report)
    assert check_model(Plain, spatial_dims=[2], tasks=["classification"], export=True).remarks == ()


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize("name", ["UNet", "DeepLab", "DenseNet", "LateFusion"])
def test_built_in_networks_can_be_exported_with_free_sizes(name: str, task: str, dims: int) -> None:
    network = getattr(models, name)(2, 3, dims, task=task, preset="tiny")
    assert answers_other_sizes(network, torch.randn(2, 2, *(48 if dims == 2 else 24,) * dims)) is None
