"""Model cards: what an arm is, from the trial's facts, and what only its author can say.

One maker for both: `bundle_card` is the CARD.md of a bundle, `run_card` the model-card of an arm in a run folder, which
says less, because nothing has been proven or measured for use yet.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from equipoise.report.text.words import trained_as
from equipoise.sinks import escaped

RUN, AUTHOR = "from the run", "author must complete"
OPEN = "…"
Row = tuple[str, str, str]
"""An item, its value, and where that comes from."""
Section = tuple[str, list[Row]]
_OWNER = ("author, contact, licence of the weights", OPEN, AUTHOR)
_SCANNERS = ("scanners, sequences, contrast agents", OPEN, AUTHOR)
_INTENDED: Section = (
    "Intended use",
    [
        ("intended users and purpose", OPEN, AUTHOR),
        ("intended patients and settings", OPEN, AUTHOR),
        ("out-of-scope uses", OPEN, AUTHOR),
    ],
)
_ETHICS: Section = (
    "Ethics, bias and maintenance",
    [
        ("approval and consent for the training data", OPEN, AUTHOR),
        ("known failures, and groups with lower performance", OPEN, AUTHOR),
        ("monitoring, and contact for reporting errors", OPEN, AUTHOR),
    ],
)


FURTHER = {
    "openvino": "OpenVINO",
    "openvino-bf16": "OpenVINO in bfloat16",
    "openvino-int8": "OpenVINO in 8-bit integers",
}
"""Runtimes that an export proves when it is asked to."""


def bundle_card(record: Mapping[str, Any], parity: Mapping[str, Any]) -> str:
    """Return the card of a bundle. record: bundle.json. parity: parity.json."""
    contract, evidence = record["contract"], record["evidence"]
    return _card(
        evidence,
        "the export",
        [
            ("Description", _identity(record)),
            _INTENDED,
            ("Input and output", _contract(contract, record["reading"])),
            ("Evidence", _evidence(evidence, record["evidence"]["this_run"])),
            ("Limits seen in training", _limits(record["limits"], contract)),
            ("Proof of reproduction", _proof(parity)),
            _ETHICS,
        ],
    )


def run_card(
    lock: Mapping[str, Any], results: Mapping[str, Any], evidence: Mapping[str, Any], command: str | None
) -> str:
    """Return the card of an arm of a run folder.

    evidence: of the arm, by `arm_evidence`. command: that exports it; None where a bundle cannot hold its task.
    """
    cohort = lock["cohort"]
    regions = ", ".join(map(str, cohort.get("regions") or ())) or "none"
    proof = "a bundle cannot hold this task" if command is None else f"none yet; `{command}` writes a bundle with proof"
    return _card(
        evidence,
        "a report",
        [
            ("Description", _arm(lock, results, evidence)),
            _INTENDED,
            (
                "Input and output",
                [
                    ("channels, in order", ", ".join(map(str, cohort.get("channels") or ())) or "not stated", RUN),
                    ("classes", _classes(cohort), RUN),
                    ("regions", regions, RUN),
                    _SCANNERS,
                ],
            ),
            ("Data", _data(results)),
            ("Evidence", _evidence(evidence)),
            ("Proof of reproduction", [("a bundle for use", proof, RUN)]),
            _ETHICS,
        ],
    )


def _classes(cohort: Mapping[str, Any]) -> str:
    """Name the classes of cases or masks; an earlier version's lock names those of masks by their regions alone."""
    names = cohort.get("class_names") or cohort.get("classes") or ()
    regions = "background and the regions below" if cohort.get("regions") else "none"
    return ", ".join(map(str, names)) or regions


def _card(evidence: Mapping[str, Any], maker: str, sections: Sequence[Section]) -> str:
    lines = [
        f"# Model card: {_cell(evidence['arm'])} of {_cell(evidence['trial'])}",
        "",
        "**Research only.** Not a medical device; not for clinical decisions.",
        "",
        f'Items marked "{RUN}" come from {maker}. Items marked "{AUTHOR}" are not yet complete.',
    ]
    for title, rows in sections:
        lines += ["", f"## {title}", "", "| item | value | source |", "|---|---|---|"]
        lines += [f"| {_cell(item)} | {_cell(value)} | {source} |" for item, value, source in rows]
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return escaped(" ".join(str(text).split()))


def _identity(record: Mapping[str, Any]) -> list[Row]:
    network, provenance = record["network"], record["provenance"]
    return [
        ("network", f"{_network(network)}, {network['parameters']} parameters", RUN),
        ("training run", f"fold and seed {provenance['job']}, {provenance['job_chosen_by']}", RUN),
        ("question of the trial", record["evidence"]["question"], RUN),
        ("protocol", f"SHA-256 {provenance['protocol_sha256']}", RUN),
        ("ledger", f"head {provenance['ledger_head']}", RUN),
        ("versions", ", ".join(f"{name} {number}" for name, number in provenance["versions"].items()), RUN),
        _OWNER,
    ]


def _network(network: Mapping[str, Any]) -> str:
    """Name a network with its settings; of an ensemble every member with its own."""
    if "members" in network["settings"]:
        return f"{network['name']} of {', '.join(_network(member) for member in network['settings']['members'])}"
    settings = ", ".join(f"{key} = {value}" for key, value in network["settings"].items()) or "defaults"
    return f"{network['name']} ({settings})"


def _optimizer(entry: Mapping[str, Any]) -> str:
    if entry["optimizer"] is None:
        return "those of its members" if entry.get("ensemble") else "chosen by its own trainer"
    settings = (entry.get("settings") or {}).get("optimizer", {})
    rule = ", ".join(f"{key} = {value}" for key, value in settings.items()) or "defaults"
    return f"{entry['optimizer']} ({rule})"


def _arm(lock: Mapping[str, Any], results: Mapping[str, Any], evidence: Mapping[str, Any]) -> list[Row]:
    entry = next(one for one in (*results["arms"], *results["untuned"]) if one["name"] == evidence["arm"])
    settings = entry.get("settings") or {}
    network = ", ".join(f"{key} = {value}" for key, value in settings.get("model", {}).items()) or "defaults"
    network = trained_as(entry) if entry.get("ensemble") else f"{entry['model']} ({network})"
    seeds, folds = ", ".join(map(str, entry["seeds"])), results["cohort"]["folds"]
    runs = f"seeds {seeds} in {folds} fold{'s' * (folds > 1)}, {entry['failed_jobs']} without a result"
    return [
        ("network", f"{network}, {entry['parameters']} parameters", RUN),
        ("optimizer", _optimizer(entry), RUN),
        ("training runs", runs, RUN),
        *_start(lock, str(evidence["arm"])),
        ("question of the trial", evidence["question"], RUN),
        ("protocol", f"SHA-256 {lock['protocol_sha256']}", RUN),
        ("versions", ", ".join(f"{name} {number}" for name, number in lock.get("versions", {}).items()), RUN),
        _OWNER,
    ]


def _start(lock: Mapping[str, Any], arm: str) -> list[Row]:
    """Return the row on the weights from which an arm starts; none where it starts at random."""
    row = (lock.get("initial_weights") or {}).get(arm)
    if row is None:
        return []
    known = row.get("test_cases") is not None
    made = f"made by {', '.join(row['trials'])}" if known else "nothing is known of the cases on which it was trained"
    return [("initial weights", f"{row['file']}, SHA-256 {row['sha256']}; {made}", RUN)]


def _data(results: Mapping[str, Any]) -> list[Row]:
    cohort = results["cohort"]
    parts = [
        (f"{part} cases", f"{cohort['split'][part]} of {cohort['split_patients'][part]} patients", RUN)
        for part in cohort["split"]
    ]
    excluded = "; ".join(f"{one['cases']} cases: {one['reason']}" for one in cohort["excluded"]) or "none"
    return [
        ("cohort", f"{cohort['name']}: {cohort['cases']} cases of {cohort['patients']} patients", RUN),
        *parts,
        ("excluded", excluded, RUN),
        ("notes on the data", "; ".join(cohort["notes"]) or "none", RUN),
        ("ages, sexes, sites, devices", OPEN, AUTHOR),
    ]


def _reading(reading: Mapping[str, int]) -> str:
    if not reading["with_files"]:
        return "not compared: predict cannot read the trial's images from files"
    return f"{reading['alike']} of {reading['with_files']} test cases compared"


def _contract(contract: Mapping[str, Any], reading: Mapping[str, int]) -> list[Row]:
    regions = ", ".join(name for name, _ in contract["regions"]) or "none"
    return [
        ("channels, in order", ", ".join(contract["channels"]), RUN),
        ("classes", ", ".join(contract["classes"]), RUN),
        ("regions", regions, RUN),
        ("position and orientation in space needed", "yes" if contract["oriented"] else "no", RUN),
        ("files read as in the trial", _reading(reading), RUN),
        _SCANNERS,
    ]


def _evidence(evidence: Mapping[str, Any], *this_run: float | None) -> list[Row]:
    rows = [
        (f"{evidence['endpoint']} of the method, over seeds and patients", _estimate(evidence), RUN),
        *((f"{evidence['endpoint']} of the exported run on the test cases", _number(one), RUN) for one in this_run),
        ("against the strongest trivial rule", evidence["baseline"]["reason"], RUN),
        *((f"against {one['other']}", one["reason"], RUN) for one in evidence["comparisons"]),
        *([("recommendation", str(evidence["recommendation"]), RUN)] if evidence.get("recommendation") else []),
        ("exploratory", _exploratory(evidence), RUN),
        # Bundles of before know of no failures, and their cards stay as they are.
        *([("failures on the test cases", "; ".join(evidence["failures"]), RUN)] if evidence.get("failures") else []),
    ]
    overruled = "; ".join(evidence["overruled"])
    if evidence.get("although"):
        rows.append(("exported despite", f"{overruled}: {evidence['although']}", RUN))
    elif overruled:
        rows.append(("reasons against its use", overruled, RUN))
    return [*rows, ("validation on data of another site", OPEN, AUTHOR)]


def _exploratory(evidence: Mapping[str, Any]) -> str:
    """Say whether the trial is exploratory, and why: whoever gets the bundle has not seen the report."""
    return f"yes: {'; '.join(evidence['exploratory_reasons'])}" if evidence["exploratory"] else "no"


def _estimate(evidence: Mapping[str, Any]) -> str:
    return (
        f"{_number(evidence['estimate'])} (95 % interval {_number(evidence['low'])} to {_number(evidence['high'])}), "
        f"{evidence['patients']} patients"
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _limits(limits: Mapping[str, Any], contract: Mapping[str, Any]) -> list[Row]:
    levels = zip(contract["channels"], limits["levels"]["low"], limits["levels"]["high"], strict=True)
    return [
        ("training images examined", str(limits["cases"]), RUN),
        (
            ("spacing in mm", _ranges(limits["spacing_mm"]), RUN)
            if contract.get("spacing_stated", True)
            else ("spacing", "stated by no file of the trial: lengths are in pixels", RUN)
        ),
        ("image size in voxels", _ranges(limits["sides"]), RUN),
        *(
            (f"1st percentile, median, 99th percentile of {name}", _ranges({"low": low, "high": high}), RUN)
            for name, low, high in levels
        ),
        ("ages, sexes, sites, devices", OPEN, AUTHOR),
    ]


def _ranges(limit: Mapping[str, Sequence[float]]) -> str:
    return ", ".join(f"{low:g} to {high:g}" for low, high in zip(limit["low"], limit["high"], strict=True))


def _proof(parity: Mapping[str, Any]) -> list[Row]:
    again, runtime = parity["reproduction"], parity["onnx"]
    compared = (
        f"probabilities within {runtime['probability']:.2g}; {runtime['changed']} of {runtime['decisions']} decisions "
        f"changed ({runtime['unit']}), {runtime['changed_clearly']} of them not at a boundary"
    )
    both = f"{_number(runtime['endpoint']['torch'])} and {_number(runtime['endpoint']['onnx'])}"
    return [
        (
            "reproduction of the trial's predictions",
            f"largest difference {again['difference']:g} in {again['rows']} rows",
            RUN,
        ),
        (f"ONNX Runtime on {runtime['cases']} test cases", compared, RUN),
        ("endpoint by the network and by ONNX Runtime", both, RUN),
        *_arithmetic(parity.get("arithmetic")),
        *(row for name in FURTHER if name in parity for row in _further(name, parity[name])),
    ]


def _arithmetic(change: Mapping[str, Any] | None) -> list[Row]:
    """Say what float32 changes in the answers of a trial that computed in less precision."""
    if change is None:
        return []
    text = f"{change['changed']} of {change['decisions']} decisions changed ({change['unit']})"
    held = change.get("validation")
    if held is not None and held["change"] is not None and held["lower"] is not None:
        text += (
            f"; the endpoint changes by {held['change']:+.2g} on {held['cases']} validation cases, lower bound "
            f"{held['lower']:+.2g}"
        )
        text += "" if held["allowed"] is None else f"; the limit is {held['allowed']:+.2g}, a fifth of the margin"
    return [("float32 against the trial's own precision, on test cases", text, RUN)]


def _further(name: str, parity: Mapping[str, Any]) -> list[Row]:
    compared = (
        f"probabilities within {parity['probability']:.2g}; {parity['changed']} of {parity['decisions']} decisions "
        f"changed ({parity['unit']}); the endpoint is {_number(parity['endpoint']['torch'])} by the network and "
        f"{_number(parity['endpoint'][name])}"
    )
    rows: list[Row] = [(f"{FURTHER[name]} on {parity['cases']} test cases", compared, RUN)]
    held = parity.get("validation")
    if held is not None:
        text = (
            f"the endpoint changes by {held['change']:+.2g} on {held['cases']} validation cases, lower bound "
            f"{held['lower']:+.2g}; the limit was {held['allowed']:+.2g}, a fifth of the margin"
        )
        rows.append((f"{FURTHER[name]}, loss of performance", text, RUN))
    return rows
