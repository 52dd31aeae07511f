"""A sample size in the words of a grant application or an ethics form."""

from dataclasses import dataclass

from equipoise.report.text.amounts import amount
from equipoise.report.text.references import REFERENCES
from equipoise.report.text.words import listed, plural
from equipoise.statistics.sample_size import SampleSize


@dataclass(frozen=True)
class GrantText:
    """Paragraphs, a table (heads and rows), and the references, numbered as they are cited."""

    title: str
    paragraphs: tuple[str, ...]
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    references: tuple[str, ...]

    def plain(self) -> str:
        """Return everything as plain text."""
        wide = [max(len(row[k]) for row in (self.heads, *self.rows)) for k in range(len(self.heads))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True)).rstrip()
            for row in (self.heads, *self.rows)
        ]
        numbered = [f"{k}. {text}" for k, text in enumerate(self.references, 1)]
        return "\n\n".join([self.title, *self.paragraphs, "\n".join(table), "\n".join(numbered)]) + "\n"


def grant_text(size: SampleSize, label: str, unit: str, source: str, version: str) -> GrantText:
    """Return the sample size in words; `source`: where the spreads are from, `version`: of this software."""
    cited = ["rockette", "hillis"]
    cited += ["hothorn", "smyth"] if size.comparisons > 1 else []
    cited += ["nadeau"] if size.folds > 1 else []
    number = {key: cited.index(key) + 1 for key in cited}
    unit = f" {unit}" if unit else ""
    heads = ("standard deviations", *(f"{plural(need.seeds, 'run')} of each arm" for need in size.needed))
    rows = tuple((_factor(factor), *(_count(n) for n in counts)) for factor, counts in sorted(size.sensitivity.items()))
    paragraphs = (
        _question(size, label, unit),
        _spreads(size, unit, source),
        _answer(size),
        _method(size, number, version),
    )
    references = tuple(REFERENCES[key] for key in cited)
    return GrantText("Sample size", paragraphs, heads, rows, references)


def _question(size: SampleSize, label: str, unit: str) -> str:
    about = "trained networks" if size.networks else "training methods"
    level = f"a two-sided level of {size.alpha:g}"
    if size.comparisons > 1:
        level += f" for all {size.comparisons} comparisons together (family-wise)"
    return (
        f"The primary endpoint is the {label} on test patients. The trial is planned to detect a true difference of "
        f"{amount(size.difference)}{unit} between two {about}, the smallest difference that matters, with a power of "
        f"{100 * size.power:g} % at {level}."
    )


def _spreads(size: SampleSize, unit: str, source: str) -> str:
    runs = sorted(set(size.pilot_runs))
    each = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    rare = f", of whom {size.events} belong to the rarer class" if size.events is not None else ""
    trained = "" if size.networks else (
        f"{amount(size.run_sd)}{unit} between training runs of one arm in addition to the variation between patients "
        f"(pooled over arms, {size.run_df} degrees of freedom), {amount(size.own_sd)}{unit} per patient within one "
        "run, and "
    )  # fmt: skip
    return (
        f"The variances were estimated from {source}: {plural(len(size.arms), 'arm')} ({listed(list(size.arms))}) with "
        f"{each} training run{'s' * (runs != [1])} each on {plural(size.pilot_patients, 'patient')}{rare}. The "
        f"standard deviations are {trained}{amount(size.shared_sd)}{unit} per patient of the difference common to all "
        f"runs, for {size.pair[0]} and {size.pair[1]}"
        + (", the pair that needs the most patients." if size.comparisons > 1 else ".")
    )


def _answer(size: SampleSize) -> str:
    sentences = []
    for need in size.needed:
        each = "the trained networks" if size.networks else f"{need.seeds} training runs of each arm"
        if need.patients is None:
            sentences.append(f"With {each} no number of patients is enough.")
            continue
        low = f"{need.patients if need.low is None else need.low:,}"
        ends = f"{low} to {need.high:,}" if need.high is not None else f"at least {low}; no number is enough"
        place = "at the ends" if need.high is not None else "at the upper ends"
        sentences.append(
            f"With {each}, {need.patients:,} test patients are needed ({ends} if the standard deviations are {place} "
            "of their 80 % intervals)."
        )
    if not size.networks and any(need.patients is None for need in size.needed):
        runs = size.fewest_seeds
        sentences.append(
            f"Some number is enough with {runs} runs or more, and the more runs, the fewer patients (--seeds "
            f"{runs},{2 * runs})."
            if runs
            else "The training must become more stable: no number up to 200 runs would be enough."
        )
    floor = f"The patients must be similar to those of the pilot; with fewer than {size.fewest} no verdict is given."
    return " ".join(
        [*sentences, floor, "The table repeats the numbers with standard deviations that are 25 % smaller or larger."]
    )


def _method(size: SampleSize, number: dict[str, int], version: str) -> str:
    runs = (
        "Only patients are sampled, so the claim is about these trained networks"
        if size.networks
        else "Training runs are treated like readers in a multi-reader study: the standard error contains the variance "
        f"between runs and the covariance over patients [{number['rockette']}, {number['hillis']}], and a "
        "difference must also be significant with its runs fixed"
    )
    family = (
        f"; claims are adjusted by the joint distribution of all comparisons [{number['hothorn']}], from variances "
        f"between runs moderated over arms [{number['smyth']}]"
        if size.comparisons > 1
        else ""
    )
    folds = (
        f"; under cross-validation a corrected resampled t test must agree [{number['nadeau']}]"
        if size.folds > 1
        else ""
    )
    guard = (
        "; it must also remain if the better arm fails as often as this number of patients cannot exclude"
        * size.guarded
    )
    return (
        f"{runs}{family}{folds}{guard}. Power is the probability that the difference passes all of these tests, "
        "averaged over the distribution of the estimated variances; it was computed with Equipoise "
        f"{version}, whose calculation was verified by simulated trials. All images of one patient count as one unit."
    )


def _factor(factor: float) -> str:
    return "as measured" if factor == 1 else f"{100 * (factor - 1):+.0f} %".replace("-", "−")


def _count(patients: int | None) -> str:
    return "none is enough" if patients is None else f"{patients:,}"
