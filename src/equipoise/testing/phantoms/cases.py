"""Generate cases with known truth from a seed, for tests, documentation and first trials without data.

Classification: a bright shell with a core; the class shifts only the core's brightness, so the best possible
performance is known in closed form (`bayes_auc`, `bayes_accuracy`). Segmentation: nested ellipses in noise with exactly
known masks. Detection: up to three bright balls in noise, separate from each other, and a dim irrelevant one.
"""

from functools import partial
from pathlib import Path
from statistics import NormalDist
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from equipoise.cohorts.cohort import Case, Cohort, Image
from equipoise.cohorts.finding_labels import IRRELEVANT, IRRELEVANT_CLASS, SOUGHT
from equipoise.errors import ProtocolError
from equipoise.tasks import CLASSIFICATION, TASKS, Task

PIXEL_NOISE = 0.05
SPACING_MM = 1.0


def phantom(
    path: str | Path | None = None,
    *,
    task: str = CLASSIFICATION.name,
    cases: int = 200,
    patients: int | None = None,
    size: int = 32,
    spatial_dims: int = 2,
    classes: int = 2,
    channels: int = 1,
    effect: float = 2.0,
    size_effect: float = 0.0,
    seed: int = 0,
) -> Cohort:
    """Make a cohort of synthetic cases; the same settings give the same pixels.

    path: None, because there are no files.
    cases, channels: how many there are. seed: of the pixels.
    patients: number of patients (default: half the number of cases); each has at least one case.
    size: voxels per side, at 1 mm. classes: 2–4; in segmentation the background is one of them, in detection it is 2.
    effect: distance of neighbouring classes' core brightness in its standard deviations (classification), or
        contrast to voxel noise (masks). size_effect: the same for the shell's diameter in classification.
    Errors: ProtocolError names the impossible setting.
    """
    if path is not None:
        raise ProtocolError(f"cohort.path is {str(path)!r}, but the phantom reads no files; leave the path out")
    patients = max(1, cases // 2) if patients is None else patients
    if task not in TASKS:
        raise ProtocolError(f"cohort.task of the phantom is {task!r}; give one of {', '.join(TASKS)}")
    kind = TASKS[task]
    _check_settings(kind, cases, patients, size, spatial_dims, classes, channels, min(effect, size_effect))
    labels, owners, diameters = _people(cases, patients, size, classes, size_effect, seed)
    shape = (channels, *(size,) * spatial_dims)
    made = tuple(
        Case(
            id=f"phantom-{index:05d}",
            patient=f"patient-{owners[index]:05d}",
            read=partial(
                _read_shell, (seed, 1, index), shape, float(diameters[index]), int(labels[index]), classes, effect
            )
            if kind.has_labels
            else partial(_read_balls, (seed, 1, index), shape, effect)
            if kind.has_findings
            else partial(_read_nested, (seed, 1, index), shape, classes, effect),
            label=int(labels[index]) if kind.has_labels else None,
            attributes=MappingProxyType({"diameter_mm": float(diameters[index])} if kind.has_labels else {}),
        )
        for index in range(cases)
    )
    return Cohort(
        name=f"phantom-{task}-{cases}-{patients}-{size}-{effect:g}-{size_effect:g}-{seed}",
        task=task,
        cases=made,
        classes=_class_names(classes, kind),
        channels=tuple(f"channel {index}" for index in range(channels)),
        spatial_dims=spatial_dims,
        notes=("Synthetic cases with known truth, not patients.",),
        size_attribute="diameter_mm" if kind.has_labels else None,
    )


def _people(
    cases: int, patients: int, size: int, classes: int, size_effect: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Draw class, patient and shell diameter (mm) of every case, with balanced classes and no patient without case."""
    generator = np.random.default_rng([seed, 0])
    labels = generator.permutation(np.arange(cases) % classes)
    owners = np.concatenate([np.arange(patients), generator.integers(patients, size=cases - patients)])
    spread = size / 64 * min(1.0, 6.0 / (size_effect * (classes - 1) + 6.0))
    shift = size_effect * (labels - (classes - 1) / 2)
    diameters = size / 2 + spread * (generator.standard_normal(cases) + shift)
    return labels, owners, np.round(diameters * SPACING_MM, 4)


def _class_names(classes: int, task: Task) -> tuple[str, ...]:
    """Name the classes: two classes have clinical names, and masks begin with the background."""
    if task.has_findings:
        return ("background", "lesion", IRRELEVANT_CLASS)
    if task.has_masks:
        return ("background", "lesion", "core", "necrosis")[:classes]
    return ("benign", "malignant") if classes == 2 else tuple(f"class {index}" for index in range(classes))


def bayes_auc(effect: float, size_effect: float = 0.0) -> float:
    """Return the best possible AUC of neighbouring classes, Φ(d'/√2), d'² = effect² + size_effect² (without noise).

    >>> round(bayes_auc(2.0), 3)
    0.921
    """
    return NormalDist().cdf(float(np.hypot(effect, size_effect)) / 2**0.5)


def bayes_accuracy(effect: float, classes: int = 2) -> float:
    """Return the best accuracy for equally frequent, equidistant classes: (2Φ(d'/2) + (K−2)(2Φ(d'/2)−1)) / K.

    >>> round(bayes_accuracy(2.0), 3)
    0.841
    """
    within = NormalDist().cdf(effect / 2)
    return (2 * within + (classes - 2) * (2 * within - 1)) / classes


def _check_settings(
    task: Task, cases: int, patients: int, size: int, spatial_dims: int, classes: int, channels: int, effect: float
) -> None:
    """Refuse impossible settings with the key, its value and the allowed values."""
    rules = (
        ("cases", cases, cases >= 1, "at least 1"),
        ("patients", patients, 1 <= patients <= cases, f"1 to {cases}, the number of cases"),
        ("size", size, 8 <= size <= 512, "8 to 512 voxels"),
        ("spatial_dims", spatial_dims, spatial_dims in (2, 3), "2 or 3"),
        ("classes", classes, 2 <= classes <= (2 if task.has_findings else 4), "2 to 4, in detection 2"),
        ("channels", channels, 1 <= channels <= 16, "1 to 16"),
        ("effect", effect, effect >= 0, "0 or more for effect and size_effect"),
    )
    for key, value, holds, allowed in rules:
        if not holds:
            raise ProtocolError(f"cohort.{key} of the phantom is {value!r}; give {allowed}")


def _radius(shape: tuple[int, ...], centre: NDArray[np.float64], stretch: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance from the centre in voxels, each axis divided by its stretch."""
    axes = np.meshgrid(*(np.arange(n, dtype=np.float64) for n in shape), indexing="ij")
    squares = [((axis - c) / s) ** 2 for axis, c, s in zip(axes, centre, stretch, strict=True)]
    distance: NDArray[np.float64] = np.sqrt(np.sum(squares, axis=0))
    return distance


def _read_shell(
    key: tuple[int, ...], shape: tuple[int, ...], diameter: float, label: int, classes: int, effect: float
) -> Image:
    """Draw background 0, shell 1, and core 0.5 shifted by the class; channels share the scene and differ in noise."""
    generator = np.random.default_rng(key)
    # Three standard deviations beyond the outer classes stay within 0.1–0.9: clipped values would tie and lower the
    # best AUC below its closed form.
    spread = 0.8 / (effect * (classes - 1) + 6)
    core = 0.5 + spread * (generator.standard_normal() + effect * (label - (classes - 1) / 2))
    space = shape[1:]
    distance = _radius(space, (np.array(space) - 1) / 2, np.ones(len(space)))
    # Edges blend over one voxel: with hard ones, diameters that differ by less than a voxel would give equal images.
    outer = np.clip(diameter / 2 - distance + 0.5, 0, 1)
    inner = np.clip(diameter / 4 - distance + 0.5, 0, 1)
    scene = outer + inner * (np.clip(core, 0.02, 0.98) - 1)
    noise = PIXEL_NOISE * generator.standard_normal(shape)
    return Image((scene + noise).astype(np.float32), (SPACING_MM,) * len(space))


def _read_nested(key: tuple[int, ...], shape: tuple[int, ...], classes: int, effect: float) -> Image:
    """Draw nested ellipses of classes 1 … K−1 anywhere in the field, brightness = class, voxel noise = 1 / effect."""
    generator = np.random.default_rng(key)
    space = np.array(shape[1:])
    radius = space.min() * generator.uniform(0.15, 0.3)
    centre = generator.uniform(radius + 1, space - radius - 2)
    distance = _radius(tuple(shape[1:]), centre, generator.uniform(0.7, 1.0, size=len(space)))
    mask = np.zeros(shape[1:], dtype=np.uint8)
    for region in range(1, classes):
        mask[distance <= radius * (classes - region) / (classes - 1)] = region
    noise = generator.standard_normal(shape) / max(effect, 1e-6)
    affine = np.diag([SPACING_MM] * 3 + [1.0]) if len(space) == 3 else None
    return Image((mask + noise).astype(np.float32), (SPACING_MM,) * len(space), mask, affine)


def _read_balls(key: tuple[int, ...], shape: tuple[int, ...], effect: float) -> Image:
    """Draw none to three balls of brightness 1 and one of 0.5, separate from each other, voxel noise = 1 / effect."""
    generator = np.random.default_rng(key)
    space = np.array(shape[1:])
    mask, scene = np.zeros(shape[1:], dtype=np.uint8), np.zeros(shape[1:])
    kinds = [SOUGHT] * int(generator.integers(0, 4)) + [IRRELEVANT]
    for kind in kinds:
        radius = space.min() * generator.uniform(0.06, 0.1)
        centre = generator.uniform(radius, space - 1 - radius)
        distance = _radius(shape[1:], centre, np.ones(len(space)))
        # Two balls that touch would be one finding of the mask.
        if mask[distance <= radius + 2].any():
            continue
        mask[distance <= radius] = kind
        scene[distance <= radius] = 1.0 if kind == SOUGHT else 0.5
    noise = generator.standard_normal(shape) / max(effect, 1e-6)
    affine = np.diag([SPACING_MM] * 3 + [1.0]) if len(space) == 3 else None
    return Image((scene + noise).astype(np.float32), (SPACING_MM,) * len(space), mask, affine)
