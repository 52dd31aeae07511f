"""Run a study from its file to its report: one trial for each data set and network, then the joint analysis."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json, write_text
from equipoise.cohorts.splits.leakage import Leak
from equipoise.engines import ranks
from equipoise.engines.execution import LOCAL, Execution
from equipoise.errors import CohortError, EquipoiseError, Interrupted, LedgerError
from equipoise.plain_files import inside
from equipoise.progress import Watch, silent
from equipoise.protocol import Protocol
from equipoise.protocol.named_code import announce_code
from equipoise.protocol.study import Study
from equipoise.report import write_study
from equipoise.runfolder.ledger import PREDICTED, Ledger
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.ownership import STUDY, claim, prove_ours
from equipoise.runfolder.paths import LOCK, STUDY_FILE, STUDY_PLAN, STUDY_RESULTS, trial_folder
from equipoise.runfolder.read import read_lock, read_results, read_study_plan
from equipoise.runfolder.seal import is_sealed
from equipoise.runfolder.study_family import FAMILIES, MEMBERS, families, members
from equipoise.runfolder.verify import interrupted_maps
from equipoise.trials.check import Checked, check
from equipoise.trials.names import study_text_named
from equipoise.trials.plan import Trial, honest_leaks, plan, read
from equipoise.trials.run import carry_out


def run_study(file: str | Path, out: str | Path, *, how: Execution = LOCAL, watch: Watch = silent) -> dict[str, Any]:
    """Run a study into the folder `out`, or resume the one that was begun there; return study.json.

    Every trial is in OUT/<cohort>/<model> and can be read, reported and resumed separately. how: where jobs run.

    Raises EquipoiseError (one sentence) for errors that the user can correct, Interrupted after Ctrl-C (resumable).
    """
    file, out = Path(file), Path(out)
    return ranks.led(lambda: _run(file, out, how, watch), out / STUDY_RESULTS)


def _run(file: Path, out: Path, how: Execution, watch: Watch) -> dict[str, Any]:
    announce_code(file)
    study = Study.load(file)
    trials = study.trials(file.parent)
    _check_paths(trials)
    prove_ours(out, STUDY)
    with inside(out):
        _carry_out(study, trials, file, out, how, watch)
    return write_study(out)


def _carry_out(
    study: Study, trials: Mapping[tuple[str, str], Protocol], file: Path, out: Path, how: Execution, watch: Watch
) -> None:
    try:
        # All trials are planned before the first is trained: an error in the last data set is reported now and not
        # after days.
        prepared = [one for cohort in study.study.cohorts for one in _prepared(cohort.name, trials, out)]
        _claim(study, trials, file, out, prepared)
        for number, (trial, leaks) in enumerate(prepared, start=1):
            trial = replace(trial, how=how)
            carry_out(trial, leaks, watch=_named(f"trial {number} of {len(prepared)} remaining, ", watch))
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; the same command resumes in {out}") from error


def check_study(file: str | Path, *, watch: Watch = silent) -> dict[tuple[str, str], Checked]:
    """Check every trial before training; nothing is written."""
    announce_code(Path(file))
    trials = Study.load(Path(file)).trials(Path(file).parent)
    _check_paths(trials)
    return {
        (cohort, model): check(protocol, watch=_named(f"{cohort}, {model}: ", watch), looks_back=False)
        for (cohort, model), protocol in trials.items()
    }


def checked_json(checks: dict[tuple[str, str], Checked]) -> dict[str, Any]:
    """Return the public JSON: every trial's, and time and memory of the whole study."""
    predicted = [one.predicted() or {"seconds": 0.0, "memory_mb": 0.0} for one in checks.values()]
    return {
        "trials": [{"cohort": cohort, "model": model, **one.as_json()} for (cohort, model), one in checks.items()],
        "predicted": {
            "seconds": round(sum(one["seconds"] for one in predicted), 1),
            "memory_mb": max(one["memory_mb"] for one in predicted),
        },
    }


def checked_text(checks: dict[tuple[str, str], Checked]) -> str:
    """Return the checks as text for the terminal."""
    parts = [f"{cohort}, {model}\n{one.text()}" for (cohort, model), one in checks.items()]
    minutes = checked_json(checks)["predicted"]["seconds"] / 60
    jobs = sum(one.jobs for one in checks.values())
    tests = sum(one.tested_seconds for one in checks.values()) / 60
    before = f"; reading and testing before them took {tests:.1f} minutes here" if tests >= 1 else ""
    return "\n\n".join([*parts, f"the whole study: about {minutes:.0f} minutes for {jobs} jobs{before}"])


def _prepared(name: str, trials: Mapping[tuple[str, str], Protocol], out: Path) -> Iterator[tuple[Trial, list[Leak]]]:
    """Yield the trials of a cohort that have not ended, with their leaks; the cohort is read and searched once.

    Raises EquipoiseError for a trial that could not be run, before any is begun.
    """
    places = {trial_folder(out, name, model): one for (cohort, model), one in trials.items() if cohort == name}
    cohort, cards, leaks = None, None, None
    for folder, protocol in places.items():
        if _ended(folder, protocol):
            continue
        cohort = cohort or read(protocol)[1]
        trial = plan(protocol, cohort, folder, cards)
        cards = trial.cards
        leaks = honest_leaks(trial) if leaks is None else leaks
        yield trial, leaks


def _check_paths(trials: dict[tuple[str, str], Protocol]) -> None:
    """Raise CohortError at once for data that are missing, and not hours later."""
    for (cohort, _), protocol in trials.items():
        path = protocol.cohort_path
        if path is not None and not path.exists():
            raise CohortError(
                f"the data of cohort {cohort!r} are not at {path}; download them, correct cohort.path, or remove the "
                "cohort from the study"
            )


def _claim(
    study: Study,
    trials: Mapping[tuple[str, str], Protocol],
    file: Path,
    out: Path,
    prepared: Sequence[tuple[Trial, list[Leak]]],
) -> None:
    """Write the plan of the study, or verify that the folder holds this very study."""
    plan = {
        "name": study.study.name,
        "question": study.study.question,
        "study_sha256": study.sha256(),
        "cohorts": [cohort.name for cohort in study.study.cohorts],
        "models": [model.name for model in study.study.models],
        "optimizers": [optimizer.name for optimizer in study.study.optimizers],
    }
    plan |= {} if study.study.correction == "none" else {"correction": study.study.correction}
    place = out / STUDY_PLAN
    try:
        claim(out, STUDY)
        if not place.is_file():
            write_text(out / STUDY_FILE, _text(file.read_text(encoding="utf-8"), trials, prepared, out))
            # Now, while no trial has ended, all of them are prepared, and none has been trained.
            write_json(place, plan | _of_trials([trial for trial, _ in prepared]))
    except (OSError, UnicodeDecodeError) as error:
        raise EquipoiseError(f"{place} cannot be written ({error}); name another folder with --out") from error
    if {key: value for key, value in read_study_plan(out).items() if key not in (FAMILIES, MEMBERS)} != plan:
        raise LedgerError(f"{out} belongs to another study; nothing was overwritten, name a new folder with --out")


def _text(
    text: str,
    trials: Mapping[tuple[str, str], Protocol],
    prepared: Sequence[tuple[Trial, list[Leak]]],
    out: Path,
) -> str:
    """Return the text of the study as its folder keeps it: as a trial's protocol, it names cases by pseudonyms."""
    if "not_leaks" not in text:
        return text
    protocols = {cohort: protocol for (cohort, _), protocol in trials.items()}
    read_before = {trial.out: trial.cohort for trial, _ in prepared}
    # Of a cohort whose trials have all ended, none is planned; its pairs have names all the same.
    cohorts = {
        name: next((read_before[place] for place in _places(out, name, trials) if place in read_before), None)
        or read(protocol)[1]
        for name, protocol in protocols.items()
    }
    return study_text_named(text, cohorts, protocols)


def _places(out: Path, name: str, trials: Mapping[tuple[str, str], Protocol]) -> list[Path]:
    """Return the run folders of a cohort's trials."""
    return [trial_folder(out, name, model) for cohort, model in trials if cohort == name]


def _of_trials(trials: Sequence[Trial]) -> dict[str, Any]:
    """Return what the plan of a study keeps of its trials: their plans, and which share test cases, or a cohort."""
    places = {f"{one.out.parent.name}/{one.out.name}": one for one in trials}
    known = {
        name: (one.cohort.fingerprint(), opened_cases(one.cohort, one.folds, one.cards.all()))
        for name, one in places.items()
    }
    plans = {name: (one.protocol.sha256(), one.cohort.fingerprint()) for name, one in places.items()}
    return {MEMBERS: members(plans), FAMILIES: families(known)}


def _ended(folder: Path, protocol: Protocol) -> bool:
    """Return whether the folder holds this very trial, predicted and reported, which needs no further work."""
    if not (folder / LOCK).is_file() or read_results(folder) is None or not is_sealed(folder):
        return False
    # By hash and not by name: a trial whose protocol was edited since is planned again, and its lock then refuses it.
    same = read_lock(folder)["protocol_sha256"] == protocol.sha256()
    ledger = Ledger(folder)
    return same and ledger.last(PREDICTED) is not None and not interrupted_maps(folder, ledger.events)


def _named(prefix: str, watch: Watch) -> Watch:
    return lambda label, done, total: watch(prefix + label, done, total)
