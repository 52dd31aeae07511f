"""Answer many images with a bundle: a row for each in predictions.csv, failures too; the same command resumes."""

import csv
import errno
import io
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json, write_text
from equipoise.deploy.answer_files import PAGE, check_formats, formats_of, loss_columns
from equipoise.deploy.case_answer import FAILED, Settings, answer_case
from equipoise.deploy.contract import Contract
from equipoise.deploy.inputs import CaseInput, find_cases, left_out
from equipoise.deploy.kept_answers import answer_key, json_of, kept_row, remove_answer
from equipoise.deploy.outputs import sha256_of
from equipoise.deploy.page import index_page
from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle
from equipoise.errors import EquipoiseError, Interrupted, in_one_line
from equipoise.plain_files import inside
from equipoise.progress import Watch, silent
from equipoise.runfolder.ownership import PREDICTIONS, claim, prove_ours
from equipoise.runfolder.paths import DONE, file_stem
from equipoise.sinks import cell, encodable

TABLE, INDEX, STARTED = "predictions.csv", "index.html", "started.json"


@dataclass(frozen=True)
class Summary:
    """What became of the inputs."""

    out: str
    bundle: str
    answered: int
    failed: int
    resumed: int
    warned: int
    empty: int = 0
    first_failure: str = ""
    left_out: tuple[str, ...] = ()
    pages: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return plain values for --json."""
        return asdict(self)

    def text(self) -> str:
        """Return the lines that the command prints."""
        counts = f"{self.answered} predicted, {self.failed} failed, {self.warned} with warnings"
        resumed = f" ({self.resumed} were predicted before)" if self.resumed else ""
        counts += f", {self.empty} with an empty mask" if self.empty else ""
        lines = [f"{counts}{resumed}: {Path(self.out) / TABLE}"]
        lines += [f"pages: {Path(self.out) / INDEX}"] if self.pages else []
        lines += [f"first failure: {self.first_failure}"] if self.failed else []
        if self.left_out:
            one = f"1 file in a folder is no image of a known form: {self.left_out[0]}"
            many = f"{len(self.left_out)} files in folders are no images of a known form, first {self.left_out[0]}"
            lines.append(one if len(self.left_out) == 1 else many)
        return "\n".join([*lines, f"{RESEARCH_ONLY[0].upper()}{RESEARCH_ONLY[1:]}."])


def predict(
    bundle: str | Path,
    inputs: Iterable[str | Path],
    out: str | Path,
    *,
    formats: str | Sequence[str] = ("nifti", "json"),
    series_uid: str | None = None,
    strict: bool = False,
    most_gb: float | None = None,
    runtime: str = "onnx",
    watch: Watch = silent,
) -> Summary:
    """Answer every input, and write predictions.csv, a folder per case and, last, done.json to `out`.

    formats: of `answer_files.FORMATS`, by name. most_gb: refuse an image whose answer would take
    more memory. A case that cannot be answered is a row with its reason.

    Raises EquipoiseError for a bundle or a folder that cannot be used, Interrupted after Ctrl-C (resumable).
    """
    out, given = Path(out), [Path(path) for path in inputs]
    settings = Settings(formats_of(formats), strict, most_gb, runtime)
    _refuse_inside(out, given)
    loaded = Bundle(bundle, runtime)
    check_formats(settings.formats, loaded.contract)
    cases = find_cases(given, loaded.contract, series_uid)
    with inside(out):
        return _answered(cases, given, out, loaded, settings, watch)


def _answered(
    cases: Sequence[CaseInput], given: Sequence[Path], out: Path, loaded: Bundle, settings: Settings, watch: Watch
) -> Summary:
    _claim(out, loaded)
    if PAGE in str(json_of(out / DONE).get("settings")):
        (out / INDEX).unlink(missing_ok=True)  # it leads to pages that are made anew, or not at all
    (out / DONE).unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    resumed = 0
    try:
        for number, case in enumerate(cases, start=1):
            folder = file_stem(case.id)
            row, was_there = _one(case, loaded, out / folder, settings)
            rows.append(row if row["status"] == FAILED else row | {"folder": folder})
            resumed += was_there
            watch("predicting images", number, len(cases))
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; the same command resumes in {out}") from error
    finally:
        write_text(out / TABLE, _table(rows, loaded.contract, settings.formats))
    if PAGE in settings.formats:
        columns = _columns(loaded.contract, settings.formats)[1:]
        write_text(out / INDEX, index_page(rows, columns, arm=loaded.arm, bundle=loaded.sha256, against=loaded.against))
    summary = _summary(rows, resumed, out, loaded.sha256, tuple(left_out(given)), PAGE in settings.formats)
    ended = {"bundle": loaded.sha256, "cases": len(rows), "failed": summary.failed, "left_out": summary.left_out}
    ended |= {"table_sha256": sha256_of(out / TABLE), "settings": asdict(settings), "note": RESEARCH_ONLY}
    write_json(out / DONE, ended)
    return summary


def _summary(
    rows: Sequence[dict[str, Any]], resumed: int, out: Path, bundle: str, others: tuple[str, ...], pages: bool
) -> Summary:
    failures = [row for row in rows if row["status"] == FAILED]
    first = f"{failures[0]['case']}: {failures[0]['reason']}" if failures else ""
    warned = sum(bool(row["warnings"]) for row in rows)
    empty = sum(bool(row.get("empty_regions")) for row in rows)
    answered = len(rows) - len(failures)
    return Summary(str(out), bundle, answered, len(failures), resumed, warned, empty, first, others, pages)


def _refuse_inside(out: Path, given: Sequence[Path]) -> None:
    """Refuse an output folder inside an input: its masks would be answered as images next time."""
    for path in given:
        if path.is_dir() and out.resolve().is_relative_to(path.resolve()):
            raise EquipoiseError(f"{out} lies inside the input {path}; name a folder beside it with --out")


def _claim(out: Path, bundle: Bundle) -> None:
    """Take a new folder, or one with answers of this very bundle."""
    if prove_ours(out, PREDICTIONS):
        before = json_of(out / STARTED).get("bundle")
        if before not in (None, bundle.sha256):
            raise EquipoiseError(f"{out} holds predictions of another bundle; name a new folder with --out")
    try:
        claim(out, PREDICTIONS)
        write_json(out / STARTED, {"bundle": bundle.sha256})
    except OSError as error:
        raise EquipoiseError(f"{out} cannot be written ({error}); name another folder with --out") from error


def _one(case: CaseInput, bundle: Bundle, folder: Path, settings: Settings) -> tuple[dict[str, Any], bool]:
    """Answer one case, or take its answer that is there; return its row, and whether it was there.

    A case that fails leaves no answer, neither one of before nor a part of this one.
    """
    try:
        key = answer_key(case, bundle.sha256, settings)
        kept = kept_row(folder, case, key)
        if kept is not None:
            return kept, True
        remove_answer(folder, bundle.contract)
        return answer_case(case, bundle, folder, settings, key), False
    except Exception as error:  # whatever one case brings must not keep the others from their answers
        if isinstance(error, OSError) and _cannot_write(error, folder):
            raise _unwritable(folder, error) from error
        reason = _reason(error)
    try:
        remove_answer(folder, bundle.contract)
    except OSError as error:
        raise _unwritable(folder, error) from error
    return _failure(case, bundle, reason), False


def _unwritable(folder: Path, error: OSError) -> EquipoiseError:
    return EquipoiseError(f"{folder} cannot be written ({error}); free disk space, then run the same command again")


def _cannot_write(error: OSError, folder: Path) -> bool:
    """Tell whether no other case could be written either; readers raise OSError too, some of them without a number."""
    if error.filename is None:
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
    return str(folder) in str(error.filename)


def _reason(error: Exception) -> str:
    if isinstance(error, EquipoiseError):
        return str(error)
    if isinstance(error, OSError):
        return f"its files cannot be read ({error}); check them"
    if isinstance(error, MemoryError):
        return "there is not enough memory to predict it; give a smaller image"
    kind = type(error).__name__
    text = in_one_line(f"{kind}: {error}")
    return f"it cannot be read or predicted ({text}); open its files with another tool and save them again"


def _failure(case: CaseInput, bundle: Bundle, reason: str) -> dict[str, Any]:
    row = {"case": case.id, "status": FAILED, "reason": encodable(reason), "warnings": []}
    return row | {"bundle": bundle.sha256}


def _columns(contract: Contract, formats: Sequence[str]) -> list[str]:
    """Return the columns of predictions.csv: those of the contract, whether or not any case was answered."""
    answers = {
        "label": ["class", *(f"p_{name}" for name in contract.classes)],
        "mask": [*(f"{name}_{contract.size_unit}" for name in contract.regions), "empty_regions"],
        "findings": ["candidates", "highest_score"],
    }[contract.truth]
    return ["case", "status", "reason", *answers, *loss_columns(contract, formats), "warnings"]


def _table(rows: Sequence[dict[str, Any]], contract: Contract, formats: Sequence[str]) -> str:
    """Return predictions.csv."""
    columns = [*_columns(contract, formats), "folder", "sides", "spacing_mm", "input_sha256", "bundle"]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writerow({name: cell(name) for name in columns})  # classes and regions are names of the trial's author
    for row in rows:
        writer.writerow({name: _cell(value) for name, value in row.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, list):
        return cell("; ".join(map(str, value)))
    return "" if value is None else cell(value)
