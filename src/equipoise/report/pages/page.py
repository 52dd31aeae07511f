"""report.html: one self-contained page, which begins with the verdict in words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
from markupsafe import Markup, escape

from equipoise.report.figures.figure import Figure
from equipoise.report.figures.svg import Drawing, style_sheet
from equipoise.report.pages.attribution_maps import read_maps
from equipoise.report.pages.cases import case_table
from equipoise.report.pages.checklist import checklists, counts
from equipoise.report.pages.detection_examples import detection_galleries
from equipoise.report.pages.enlarged import enlarged_cases
from equipoise.report.pages.examples import Gallery, galleries
from equipoise.report.pages.explained import Explained, commands_marked, script_hash, template_text
from equipoise.report.pages.exported import page_links, runtime_table
from equipoise.report.pages.mask_examples import mask_galleries
from equipoise.report.results.recommendation import QUALITY, best_baseline
from equipoise.report.results.results import positive_index
from equipoise.report.results.rows import part
from equipoise.report.text import audit
from equipoise.report.text.characteristics import characteristics
from equipoise.report.text.contrast import contrast_table
from equipoise.report.text.display_names import display_names
from equipoise.report.text.exploratory import exploratory_reasons
from equipoise.report.text.export_command import next_step, notes_on_export
from equipoise.report.text.glossary import anchor
from equipoise.report.text.initialization import start_in_words
from equipoise.report.text.interim_analysis import opened_in_words, stopped_in_words
from equipoise.report.text.methods import methods
from equipoise.report.text.missing_modality import missing_table
from equipoise.report.text.second_readings import readings
from equipoise.report.text.tables import (
    endpoint_table,
    estimate_table,
    grouped_failures,
    in_sequence,
    rate_table,
    sentences,
    statistics_table,
    tuning_table,
)
from equipoise.report.text.verdicts import answers
from equipoise.report.text.words import (
    case_noun,
    endpoint_name,
    interval,
    label_of,
    listed,
    number,
    p_value,
    percentage,
    plural,
    sampled,
    seconds,
    several_runs,
    split_unit,
    stratified,
)
from equipoise.runfolder.evidence import RECORD
from equipoise.runfolder.ledger_state import LedgerState
from equipoise.runfolder.own_code import read_protocol
from equipoise.runfolder.read import RunFolder
from equipoise.sinks import printable
from equipoise.tasks import recorded_task

_UNIT = re.compile(r"(\d) (%|mm\b|ms\b|MB\b)")


def environment_of_pages() -> jinja2.Environment:
    """Make the environment of the templates of pages."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(template_text), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined, finalize=unbroken,
    )  # fmt: skip
    # Names of cases, classes and arms come from foreign files, hence autoescape; a misspelt name in a template is an
    # error (StrictUndefined) and not an empty cell.
    environment.filters |= {
        "number": number, "p_value": p_value, "percentage": percentage, "seconds": seconds, "zip": zip,
    }  # fmt: skip
    return environment


def render(run: RunFolder, results: dict[str, Any], figures: Sequence[Figure], further: Sequence[Figure] = ()) -> str:
    """Render the page as HTML; all text from the run is escaped.

    figures: the built-in ones, each in its section. further: the user's own figures, in a separate section.
    """
    environment = environment_of_pages()
    names = display_names(run)
    label = label_of(results, results["endpoints"]["primary"])
    plan = read_protocol(run.path, run.lock, run.trusted)
    text, references = methods(results, run.lock, plan.training if plan else None)
    shown, explained = example_galleries(run, results), Explained()
    environment.filters["terms"] = explained
    return environment.get_template("report.html.j2").render(
        css=Markup(style_sheet() + template_text("page.css")),  # noqa: S704 - our own files
        run=run,
        lock=run.lock,
        results={"unfinished": None, **results},
        names=names,
        label=label,
        noun=case_noun(run.lock),
        task=recorded_task(run.lock["cohort"]),
        answers=answers(results, names),
        next_step=next_step(run, results),
        export_notes=_export_notes(run, results),
        exploratory=exploratory(run),
        opened=opened_in_words(results),
        stopped=stopped_in_words(results),
        figures={figure.name: figure for figure in (*figures, *further)},
        further=[figure.name for figure in further],
        drawing=figure_drawings,
        sections=_sections(run, figures, results) + ([("further-figures", "Further figures")] if further else []),
        **_tables(run, results, names),
        maps=read_maps(run.path, run.ledger.unrecorded),
        runtimes=runtime_table(run.path, run.arms()),
        settings=_settings,
        start_in_words=start_in_words,
        galleries=shown,
        large=enlarged_cases(run, shown, names),
        script=Markup(template_text("page.js")),  # noqa: S704 - our own file
        script_hash=script_hash(),
        words_here=explained.terms,
        anchor=anchor,
        example_pages=page_links(run.path, best_arm(results), [one.case for each in shown for one in each.examples]),
        best=best_arm(results),
        cases=case_table(run),
        provenance=provenance(run, results),
        methods=text,
        checklists={name: (items, counts(items)) for name, items in checklists(run, results).items()},
        references=references,
        interval=interval,
        sampled=sampled([*results["arms"], *results["untuned"]], results["cohort"]["folds"]),
        several=several_runs([*results["arms"], *results["untuned"]]),
        endpoint_name=endpoint_name,
    )


def _tables(run: RunFolder, results: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return the tables and lists of sentences of the page, by their names in the template."""
    return {
        "table": endpoint_table(results, names),
        "rates": rate_table(results, names),
        "pairs": [
            ("All pairs of arms", sentences(results, "comparisons")),
            ("All arms against all baselines", sentences(results, "baseline_comparisons")),
            ("Secondary endpoints with a margin, in fixed sequence after the primary endpoint", in_sequence(results)),
        ],
        "statistics": statistics_table(results, names),
        "readings": readings(results, names),
        "estimates": estimate_table(results, names),
        "characteristics": characteristics(run),
        "contrast": contrast_table(results, names),
        "failures": grouped_failures(results),
        "missing": missing_table(results, names),
        "tuning": tuning_table(results, names),
    }


def _export_notes(run: RunFolder, results: Mapping[str, Any]) -> list[str]:
    """Return what to do before the command is used that the page names; nothing without one."""
    command = next_step(run, results)
    arm = results["recommendation"][QUALITY]["arm"]
    return [] if command is None else notes_on_export(run, results, str(arm), command)


def exploratory(run: RunFolder) -> str | None:
    """Return why the results are exploratory, for the first line; None where they are not."""
    return listed(exploratory_reasons(run)) or None


def example_galleries(run: RunFolder, results: Mapping[str, Any]) -> list[Gallery]:
    """Return example cases of the arm with the best estimate."""
    best = best_arm(results)
    test = part(run.finished(best), "test") if best else None
    if best is None or test is None:
        return []
    if test.candidates is not None:
        return detection_galleries(run.finished(best), run.path)
    if not test.classes:
        plan = results["endpoints"]
        audited = run if run.sources else None
        return mask_galleries(
            run.finished(best),
            test,
            plan["primary"],
            plan["higher_is_better"],
            run.path,
            audit=audited,
            label=label_of(results, plan["primary"]),
        )
    size = run.lock["cohort"].get("size_attribute")
    # The size helps to judge a miss: a small lesion is missed more easily.
    notes = {row["case"]: _size_note(row.get(size, "")) for row in run.cases if size}
    index = positive_index(run)
    return galleries(test, run.thumbnails, None if index is None else test.classes[index], notes)


def provenance(run: RunFolder, results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return names and values of everything that is needed to repeat the run."""
    if run.sources:
        return audit.provenance(run)
    lock = run.lock
    versions = ", ".join(f"{name} {version}" for name, version in lock.get("versions", {}).items())
    chain = "verified" if run.ledger.verified else "NOT verified"
    rows = [
        ("Trial", str(lock["name"])),
        ("Locked", str(lock.get("locked_at", "unknown"))),
        ("Protocol SHA-256", str(results["protocol_sha256"])),
        ("Cohort fingerprint", str(results["cohort"]["fingerprint"])),
        ("Split", f"{lock['split']['scheme']}, {split_unit(lock)}{stratified(lock)}"),
        ("Seeds", ", ".join(map(str, lock["seeds"]))),
        ("Ledger", f"{chain}; test set opened {opened_in_words(results)}{_coverage(run.ledger)}"),
        ("Head of the ledger", _head(run.ledger)),
        ("Software", versions),
        (
            "Machine",
            f"{lock.get('machine', 'unknown')}; device {lock.get('device')}; {lock.get('threads')} thread(s) a job",
        ),
        ("Arithmetic", _arithmetic(run.ledger.settled)),
    ]
    return [(key, value) for key, value in rows if value]


def _coverage(ledger: LedgerState) -> str:
    """Say what a ledger of an earlier version does not hold."""
    earlier = ledger.record < RECORD and ledger.events
    return (
        "; recorded by an earlier version, without hashes of trivial rules, cases and ends of jobs" if earlier else ""
    )


def _head(ledger: LedgerState) -> str:
    """Return the hash that stands for the whole ledger, to be deposited elsewhere; empty without a ledger."""
    return f"{ledger.head} ({plural(ledger.events, 'event')})" if ledger.head else ""


def _arithmetic(settled: Mapping[str, Any] | None) -> str:
    """Describe the measured choice of precision and compiling; empty where the protocol states them."""
    if settled is None:
        return ""
    chosen = f"{settled['precision']}, {'compiled' if settled['compile'] else 'not compiled'}"
    seen = [
        f"{way}: " + ", ".join(f"{arm} {cost if type(cost) is str else f'{cost:g} s'}" for arm, cost in costs.items())
        for way, costs in settled["measured"].items()
    ]
    return f"{chosen}; chosen for all arms before training, by the time of one update ({'; '.join(seen)})"


def unbroken(value: Any) -> Any:
    """Replace the space between a number and its unit by one that does not break; turned directions become visible.

    A name with a mark that turns the direction of writing would make the words beside it read otherwise.
    """
    if type(value) is not str:
        return value
    text = _UNIT.sub("\\1\u00a0\\2", printable(value))
    return commands_marked(escape(text)) if "`equipoise " in text else text


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items())


def drawn(drawing: Drawing, style: str = "") -> Markup:
    """Return one drawing as inline SVG; `svg.Drawing` has escaped its text."""
    return Markup(drawing.inline(style))  # noqa: S704


def figure_drawings(figure: Figure) -> Markup:
    """Return the figure's drawings as inline SVG, whose text `svg.Drawing` has escaped."""
    if figure.narrow is None:
        return Markup("".join(panel.inline() for panel in figure.panels))  # noqa: S704
    # Both versions are on the page and the style sheet hides one, so that the page needs no script.
    wide = "".join(panel.inline("wide") for panel in figure.panels)
    return Markup(wide + "".join(panel.inline("narrow") for panel in figure.narrow))  # noqa: S704


def _sections(run: RunFolder, figures: Sequence[Figure], results: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return anchors and titles of the sections of this page."""
    drawn = {figure.name for figure in figures}
    titles = {
        "cases": "Cases", "differences": "Differences", "endpoints": "Endpoints", "contrast": "Split",
        "distribution": "Spread", "roc": "ROC", "froc": "FROC", "confusion": "Confusion", "examples": "Examples",
        "calibration": "Calibration", "net-benefit": "Net benefit", "subgroups": "Subgroups", "variance": "Uncertainty",
        "tuning": "Tuning", "learning": "Learning curves", "cost": "Cost", "data": "Data", "methods": "Methods",
        "checklists": "Checklists", "words": "Glossary", "provenance": "Provenance",
    }  # fmt: skip
    always = {"endpoints", "cost", "data", "methods", "checklists", "words", "provenance"}
    if any(entry.get("confusion") for entry in results["arms"]):
        always.add("examples")
    if results["tuning"]:
        always.add("tuning")
    if results["subgroups"]:
        always.add("subgroups")
    if results["contrast"]:
        always.add("contrast")
    if run.sources:
        always -= {"cost", "data"}
    if case_table(run):
        always.add("cases")
    if results.get("unfinished"):
        always, drawn = always - {"endpoints"}, drawn - {"learning"}
    return [(target, words) for target, words in titles.items() if target in drawn | always]


def best_arm(results: Mapping[str, Any]) -> str | None:
    """Return the arm with the best estimate of the primary endpoint; None without estimates."""
    sign = 1 if results["endpoints"]["higher_is_better"] else -1
    best = best_baseline(results["arms"], results["endpoints"]["primary"], sign)
    return None if best is None else str(best["name"])


def _size_note(value: str) -> str:
    try:
        return f"{float(value):.1f} mm"
    except ValueError:
        return ""
