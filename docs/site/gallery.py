"""Small reports for the gallery, made while the site is built: audits of made-up predictions with known truth."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def two_products(folder: Path) -> dict[str, Any]:
    """Two products with scores for the same studies; one is clearly better."""
    draw = np.random.default_rng(0)
    rows = []
    for patient in range(160):
        ill = patient % 3 == 0
        signal = draw.normal(1.6 * ill, 1)
        for arm, slope, noise in (("product A", 1.0, 0.4), ("product B", 0.6, 1.1)):
            score = 1 / (1 + np.exp(-(slope * signal + draw.normal(0, noise))))
            rows.append((arm, f"S{patient:03d}", f"P{patient:03d}", int(ill), round(score, 4)))
    table = _written(folder, ("arm", "case", "patient", "truth", "score_1"), rows)
    return _audited(folder, table, positive="1", margin=0.05)


def four_methods(folder: Path) -> dict[str, Any]:
    """Four segmentation methods, five training runs each: two alike, one worse, one that fails now and then."""
    draw = np.random.default_rng(1)
    rows = []
    hard = draw.normal(0, 0.04, 120)
    for arm, mean, fails in (("net-a", 0.86, 0), ("net-b", 0.86, 0), ("net-c", 0.80, 0), ("net-d", 0.86, 0.06)):
        for seed in range(5):
            shift = draw.normal(0, 0.003)
            for patient in range(120):
                failed = draw.random() < fails
                dice = 0.0 if failed else float(np.clip(mean + shift + hard[patient] + draw.normal(0, 0.02), 0, 1))
                rows.append((arm, seed, f"C{patient:03d}", f"P{patient:03d}", round(dice, 4)))
    table = _written(folder, ("arm", "seed", "case", "patient", "dice"), rows)
    return _audited(folder, table, margin=0.03)


def too_few(folder: Path) -> dict[str, Any]:
    """Two methods on forty patients: an honest "not enough data"."""
    draw = np.random.default_rng(2)
    rows = []
    for arm, slope in (("small net", 1.1), ("large net", 1.3)):
        for seed in range(3):
            for patient in range(40):
                ill = patient % 2
                score = 1 / (1 + np.exp(-draw.normal(slope * ill, 1)))
                rows.append((arm, seed, f"C{patient:02d}", f"P{patient:02d}", ill, round(score, 4)))
    table = _written(folder, ("arm", "seed", "case", "patient", "truth", "score_1"), rows)
    return _audited(folder, table, positive="1", margin=0.03)


GALLERY: dict[str, tuple[str, Callable[[Path], dict[str, Any]]]] = {
    "two-products": ("Two products, one better", two_products),
    "four-methods": ("Four methods, five runs each", four_methods),
    "too-few": ("Forty patients: not enough data", too_few),
}


def write_gallery(folder: Path) -> str:
    """Write every report below a folder and return their part of the page as Markdown."""
    from equipoise.report.text.verdicts import answers

    parts = []
    for name, (title, make) in GALLERY.items():
        results = make(folder / name)
        names = {entry["name"]: entry["name"] for entry in (*results["arms"], *results["baselines"])}
        verdicts = "\n".join(f"> {verdict.answer}\n>" for verdict in answers(results, names))
        doc = (make.__doc__ or "").strip()
        # HTML, because Sphinx takes a Markdown link to a file that is no page of its own for a dead one.
        links = (("Open the report", f"{name}/report.html"), ("the predictions (CSV)", f"{name}.csv"))
        line = ", ".join(f'<a href="gallery/{file}">{text}</a>' for text, file in links)
        parts.append(f"## {title}\n\n{doc}\n\n{verdicts}\n\n{line}\n")
    return "\n" + "\n".join(parts)


def _written(folder: Path, heading: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(heading)
    writer.writerows(rows)
    # Beside the folder, because an audit writes only into one that is new, empty or its own.
    file = folder.with_suffix(".csv")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.getvalue(), encoding="utf-8")
    return file


def _audited(folder: Path, table: Path, **settings: Any) -> dict[str, Any]:
    from equipoise import audit

    results: dict[str, Any] = audit(table, out=folder, **settings)
    return results
