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
    heads = ("spreads", *(f"{plural(need.seeds, 'run')} of each arm" for need in size.needed))
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
        f"The primary endpoint is the {label} on test patients. The trial shall find a true difference of "
        f"{amount(size.difference)}{unit} between two {about}, the smallest that matters, with a power of "
        f"{100 * size.power:g} % at {level}."
    )


def _spreads(size: SampleSize, unit: str, source: str) -> str:
    runs = sorted(set(size.pilot_runs))
    each = f"{runs[0]}" if len(runs) == 1 else f"{runs[0]} to {runs[-1]}"
    rare = f", of whom {size.events} belong to the rarer class" if size.events is not None else ""
    trained = "" if size.networks else (
        f"{amount(size.run_sd)}{unit} between training runs of one arm beyond what patients explain (pooled over arms, "
        f"{size.run_df} degrees of freedom), {amount(size.own_sd)}{unit} per patient within one run, and "
    )  # fmt: skip
    return (
        f"Its spreads were measured in {source}: {plural(len(size.arms), 'arm')} ({listed(list(size.arms))}) of {each} "
        f"training run{'s' * (runs != [1])} each on {plural(size.pilot_patients, 'patient')}{rare}. The standard "
        f"deviations are {trained}{amount(size.shared_sd)}{unit} per patient of the difference that all runs share, "
        f"for {size.pair[0]} and {size.pair[1]}"
        + (", the pair that needs most patients." if size.comparisons > 1 else ".")
    )


def _answer(size: SampleSize) -> str:
    sentences = []
    for need in size.needed:
        each = "the trained networks" if size.networks else f"{need.seeds} training runs of each arm"
        if need.patients is None:
            sentences.append(f"With {each} no number of patients suffices.")
            continue
        high = "no number suffices at the upper end" if need.high is None else f"{need.high:,}"
        low = "the fewest" if need.low is None else f"{need.low:,}"
        sentences.append(
            f"With {each}, {need.patients:,} test patients are needed ({low} to {high} where the spreads lie at the "
            "ends of their 80 % intervals)."
        )
    floor = f"The patients must be like the pilot's; below {size.fewest} no verdict is given at all."
    return " ".join(
        [*sentences, floor, "The table repeats the numbers with spreads that are a quarter smaller or larger."]
    )


def _method(size: SampleSize, number: dict[str, int], version: str) -> str:
    runs = (
        "Patients alone are sampled, so the claim is about these trained networks"
        if size.networks
        else "Training runs are to a method what readers are to an imaging modality: the standard error contains the "
        f"spread between runs and the covariance over patients [{number['rockette']}, {number['hillis']}], and a "
        "difference must also exceed chance with its runs fixed"
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
    guard = "; it must also outweigh failures of the better arm that so many patients cannot exclude" * size.guarded
    return (
        f"{runs}{family}{folds}{guard}. Power is the probability that the difference exceeds every threshold of that "
        "judgement, over the distribution of variances that will be estimated from so few runs; it was computed with "
        f"Equipoise {version}, whose calculation was checked by simulated trials. A patient's images count as one unit."
    )


def _factor(factor: float) -> str:
    return "as measured" if factor == 1 else f"{100 * (factor - 1):+.0f} %".replace("-", "−")


def _count(patients: int | None) -> str:
    return "none suffices" if patients is None else f"{patients:,}"
