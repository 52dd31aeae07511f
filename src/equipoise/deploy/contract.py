"""The contract of a bundle: everything that decides what an image becomes, besides the network's own numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from equipoise.errors import EquipoiseError
from equipoise.preprocessing import Pipeline
from equipoise.preprocessing.window_plan import check_windows
from equipoise.tasks.task import FINDINGS, LABEL, MASK

TRUTHS = (LABEL, MASK, FINDINGS)
TARGETS = ("classes", "regions", "centres")


@dataclass(frozen=True)
class Window:
    """How the network is applied to a prepared image.

    side: sides of a patch for sliding windows; None where whole images are answered. fixed: the only sides of a whole
    image that the network answers; None where it answers others too. smallest: the sides of a whole image must not be
    smaller. mirror_axes: spatial axes whose mirrored answers are averaged. batch: patches answered at once.
    """

    side: tuple[int, ...] | None = None
    overlap: float = 0.5
    mirror_axes: tuple[int, ...] = ()
    batch: int = 1
    fixed: tuple[int, ...] | None = None
    smallest: tuple[int, ...] | None = None

    @property
    def network_sides(self) -> tuple[int, ...] | None:
        """The only sides that the network itself is given; None where they may differ."""
        return self.side or self.fixed


@dataclass(frozen=True)
class Contract:
    """From an image to an answer.

    truth: `tasks.task.LABEL`, MASK or FINDINGS. targets: whether the outputs are classes, overlapping regions, or the
    map of centres of a detector. classes, channels: names in order. regions: structures as sets of classes, in the
    order of the outputs where these are regions. oriented: images with three axes had a place in space in the trial and
    were turned towards RAS+. threshold, apart_mm: of a detector's candidates. spacing_stated: False where no file of
    the trial stated a spacing: lengths are in pixels (2D) or voxels (3D), of every image. values: what the trial's
    masks stored for each class, in the order of `classes`; empty where the classes' own numbers are written.
    """

    truth: str
    classes: tuple[str, ...]
    channels: tuple[str, ...]
    spatial_dims: int
    pipeline: Pipeline
    window: Window = Window()
    targets: str = "classes"
    regions: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    oriented: bool = False
    threshold: float = 0.1
    apart_mm: float = 5.0
    spacing_stated: bool = True
    values: tuple[int, ...] = ()

    @property
    def outputs(self) -> int:
        """Number of the network's outputs."""
        return len(self.regions) if self.targets == "regions" else len(self.classes)

    @property
    def overlapping(self) -> bool:
        """Whether a voxel may belong to several regions, so that one map of classes cannot hold the answer."""
        if self.targets == "regions":
            return True
        members = [member for region in self.regions.values() for member in region]
        return len(set(members)) < len(members)

    @property
    def size_unit(self) -> str:
        """The unit of a region's size: ml (3D) or mm2 (2D), or the number of voxels or pixels without a spacing."""
        return size_unit(self.spatial_dims, self.spacing_stated)

    def to_json(self) -> dict[str, Any]:
        """Return the contract as plain values."""
        # Regions as a list: their order decides which output is which, and sorted keys would lose it.
        regions = [[name, list(members)] for name, members in self.regions.items()]
        changed = {"pipeline": json.loads(self.pipeline.to_json()), "regions": regions}
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self) | changed))
        # Left out where they say nothing: the golden images of earlier bundles hold a contract without them.
        silent = {"spacing_stated": True, "values": []}
        return {name: value for name, value in plain.items() if name not in silent or value != silent[name]}

    def text(self) -> str:
        """Return canonical JSON, equal for equal contracts."""
        return json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"))

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned; EquipoiseError for anything else."""
        try:
            contract = cls(
                truth=_one_of(plain["truth"], TRUTHS),
                classes=_names(plain["classes"]),
                channels=_names(plain["channels"]),
                spatial_dims=int(plain["spatial_dims"]),
                pipeline=Pipeline.from_json(json.dumps(plain["pipeline"])),
                window=_window(plain["window"]),
                targets=_one_of(plain["targets"], TARGETS),
                regions={str(name): tuple(map(int, members)) for name, members in plain["regions"]},
                oriented=bool(plain["oriented"]),
                threshold=float(plain["threshold"]),
                apart_mm=float(plain["apart_mm"]),
                spacing_stated=bool(plain.get("spacing_stated", True)),
                values=tuple(map(int, plain.get("values", ()))),
            )
            contract._check()
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EquipoiseError(
                f"this version cannot read the bundle's description ({error!r}); export the arm again"
            ) from error
        return contract

    def _check(self) -> None:
        if self.spatial_dims not in (2, 3) or not self.channels or not self.outputs:
            raise ValueError("dimensions, channels or outputs")
        if self.truth == MASK and not self.regions:
            raise ValueError("regions")
        if self.values and (len(set(self.values)) != len(self.classes) or not set(self.values) <= set(range(256))):
            raise ValueError("values")
        side = self.window.network_sides
        check_windows(
            side or (1,) * self.spatial_dims,
            side or (1,) * self.spatial_dims,
            self.window.overlap,
            self.window.batch,
            self.window.mirror_axes,
        )
        if side is not None and len(side) != self.spatial_dims:
            raise ValueError("sides of the window")


def size_unit(spatial_dims: int, spacing_stated: bool) -> str:
    """Return the unit of a region's size, as names of columns have it.

    >>> size_unit(2, True), size_unit(3, True), size_unit(2, False), size_unit(3, False)
    ('mm2', 'ml', 'pixels', 'voxels')
    """
    if spacing_stated:
        return "ml" if spatial_dims == 3 else "mm2"
    return "voxels" if spatial_dims == 3 else "pixels"


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(value)
    return str(value)


def _names(values: Any) -> tuple[str, ...]:
    names = tuple(map(str, values))
    if len(set(names)) != len(names):
        raise ValueError("a name is used twice")
    return names


def _window(plain: Mapping[str, Any]) -> Window:
    return Window(
        _sides(plain["side"]),
        float(plain["overlap"]),
        tuple(map(int, plain["mirror_axes"])),
        int(plain["batch"]),
        _sides(plain["fixed"]),
        _sides(plain["smallest"]),
    )


def _sides(values: Any) -> tuple[int, ...] | None:
    return None if values is None else tuple(map(int, values))
