"""CARD.md: what a bundle is, from the trial's facts, and what only its author can say."""

from collections.abc import Mapping, Sequence
from typing import Any

RUN, AUTHOR = "from the run", "author must fill"
OPEN = "…"


def card(record: Mapping[str, Any], parity: Mapping[str, Any]) -> str:
    """Return the model card; every item is marked with where it comes from."""
    contract, evidence = record["contract"], record["evidence"]
    sections = [
        ("What it is", _identity(record)),
        ("Intended use", _intended()),
        ("Input and output", _contract(contract, record["reading"])),
        ("Evidence", _evidence(evidence)),
        ("Limits seen in training", _limits(record["limits"], contract)),
        ("Proof of reproduction", _proof(parity)),
        ("Ethics, bias and maintenance", _ethics()),
    ]
    lines = [
        f"# Model card: {evidence['arm']} of {evidence['trial']}",
        "",
        "**Research only.** Not a medical device; not for clinical decisions.",
        "",
        f'Items marked "{RUN}" were written by the export. Items marked "{AUTHOR}" are open until somebody fills them.',
    ]
    for title, rows in sections:
        lines += ["", f"## {title}", "", "| item | value | source |", "|---|---|---|"]
        lines += [f"| {item} | {_cell(value)} | {source} |" for item, value, source in rows]
    return "\n".join(lines) + "\n"


Row = tuple[str, str, str]


def _cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def _identity(record: Mapping[str, Any]) -> list[Row]:
    network, provenance = record["network"], record["provenance"]
    settings = ", ".join(f"{key} = {value}" for key, value in network["settings"].items()) or "defaults"
    return [
        ("network", f"{network['name']} ({settings}), {network['parameters']} parameters", RUN),
        ("training run", f"fold and seed {provenance['job']}, {provenance['job_chosen_by']}", RUN),
        ("question of the trial", record["evidence"]["question"], RUN),
        ("protocol", f"SHA-256 {provenance['protocol_sha256']}", RUN),
        ("ledger", f"head {provenance['ledger_head']}", RUN),
        ("versions", ", ".join(f"{name} {number}" for name, number in provenance["versions"].items()), RUN),
        ("author, contact, licence of the weights", OPEN, AUTHOR),
    ]


def _intended() -> list[Row]:
    return [
        ("who should use it, for what", OPEN, AUTHOR),
        ("patients and settings it is meant for", OPEN, AUTHOR),
        ("uses that are out of scope", OPEN, AUTHOR),
    ]


def _reading(reading: Mapping[str, int]) -> str:
    if not reading["with_files"]:
        return "not compared: the trial's images are no files that predict reads"
    return f"{reading['alike']} of {reading['with_files']} test cases compared"


def _contract(contract: Mapping[str, Any], reading: Mapping[str, int]) -> list[Row]:
    regions = ", ".join(name for name, _ in contract["regions"]) or "none"
    return [
        ("channels, in order", ", ".join(contract["channels"]), RUN),
        ("classes", ", ".join(contract["classes"]), RUN),
        ("regions", regions, RUN),
        ("place in space needed", "yes" if contract["oriented"] else "no", RUN),
        ("files read as in the trial", _reading(reading), RUN),
        ("scanners, sequences, contrast agents", OPEN, AUTHOR),
    ]


def _evidence(evidence: Mapping[str, Any]) -> list[Row]:
    rows = [
        (f"{evidence['endpoint']} of the method over seeds and patients", _estimate(evidence), RUN),
        (f"{evidence['endpoint']} of this very run on the test cases", _number(evidence["this_run"]), RUN),
        ("against the strongest trivial rule", evidence["baseline"]["reason"], RUN),
        *((f"against {one['other']}", one["reason"], RUN) for one in evidence["comparisons"]),
        ("exploratory", _exploratory(evidence), RUN),
    ]
    if evidence["although"]:
        rows.append(("exported although", f"{'; '.join(evidence['overruled'])}: {evidence['although']}", RUN))
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
        ("training images looked at", str(limits["cases"]), RUN),
        ("spacing in mm", _ranges(limits["spacing_mm"]), RUN),
        ("sides in voxels", _ranges(limits["sides"]), RUN),
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
            "the trial's predictions, made again",
            f"largest difference {again['difference']:g} of {again['rows']} rows",
            RUN,
        ),
        (f"ONNX Runtime on {runtime['cases']} test cases", compared, RUN),
        ("endpoint by the network and by ONNX Runtime", both, RUN),
    ]


def _ethics() -> list[Row]:
    return [
        ("approval and consent for the training data", OPEN, AUTHOR),
        ("known failures and groups it serves worse", OPEN, AUTHOR),
        ("monitoring and who to tell of errors", OPEN, AUTHOR),
    ]
