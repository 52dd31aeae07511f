"""Run a planned trial: lock, train, open the test set once, judge."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.atomic_write import write_json
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.read_once import release_images
from equipoise.cohorts.splits.leakage import Leak
from equipoise.engines import local, ranks
from equipoise.engines.execution import Execution
from equipoise.engines.jobs import Engine, interrupted, workers_of
from equipoise.engines.watching import Watching
from equipoise.errors import CohortError, EquipoiseError, Interrupted, ProtocolError
from equipoise.progress import Watch, remark, silent, under_way
from equipoise.protocol import Protocol
from equipoise.report import example_cases, write_report
from equipoise.report.results.gradient_evaluations import GRADIENT_EVALUATIONS, unequal_evaluations
from equipoise.report.results.interim_analysis import undecided
from equipoise.report.text.reasons import sentence
from equipoise.runfolder.chronology import ends
from equipoise.runfolder.evidence import maps_of
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import (
    EXPLAINED,
    LOOKED,
    SETTLED,
    TUNED,
    Ledger,
)
from equipoise.runfolder.opened_cases import opened_cases
from equipoise.runfolder.ownership import RUN, prove_ours
from equipoise.runfolder.paths import (
    ATTRIBUTIONS,
    BY_CASE,
    RESULTS,
    SAMPLES,
    samples_folder,
)
from equipoise.runfolder.place import contrast_of
from equipoise.runfolder.read import read_lock
from equipoise.runfolder.validated_epochs import validated_otherwise
from equipoise.runfolder.verify import interrupted_maps
from equipoise.training.data.samples import Samples, staged
from equipoise.training.preparation.staging import samples_of, stage
from equipoise.training.tuning.draws import Choice, choose, describe_tuning, draw_value, tuned_jobs
from equipoise.trials.alike import refuse_unlike
from equipoise.trials.arm_faults import joined
from equipoise.trials.cautions import cautions
from equipoise.trials.claim import claimed, refuse_in_use
from equipoise.trials.code_record import refuse_late_modules, with_locked_modules, with_own_modules
from equipoise.trials.job_record import begin, has_ended, reason_of, record_end, refuse_changed, run_waiting
from equipoise.trials.lock import lock, refuse_other_plan
from equipoise.trials.names import leaks_named, pairs_named, text_named, with_names_for_outputs
from equipoise.trials.plan import Trial, endpoint_of, first_samples, honest_leaks, plan, read
from equipoise.trials.prediction import predict_test
from equipoise.trials.rehearsal import rehearse
from equipoise.trials.sound_layers import agreed, unsound_layers, with_routes
from equipoise.trials.spread_memory import design_of, keep_spread, seed_spreads
from equipoise.trials.training_length import length_record


def try_arms(trial: Trial, workers: Engine) -> dict[str, Any]:
    """Train every arm for one step on its first cases; return further facts of the plan: device, hashes of user code.

    Raises ProtocolError for an arm that cannot train, Interrupted where its process was killed or lacked memory.
    """
    first = first_samples(trial)
    first_jobs = (job for job in trial.jobs[: len(trial.protocol.arms)] if not job.members)
    arms = [*first_jobs, *(job for job in trial.draws if job.draw == job.fold == 0)]
    requests = [([job], first) for job in arms]  # a call for each, so that a worker that dies names the arm
    outcomes = dict(workers.run("equipoise.training.jobs:preflight", requests, lambda: None))
    record, faults = dict[str, Any](), dict[str, str]()
    for job, outcome in ((job, outcomes[number]) for number, job in enumerate(arms)):
        if isinstance(outcome, local.Failure):
            where = f"arm {job.arm.name!r}: {outcome.text} in its first step"
            if interrupted(outcome):  # by what the machine lacks; nothing is locked yet
                raise Interrupted(f"{where}; run the same command again")
            faults.setdefault(job.arm.name, where if outcome.kind == local.DIED else outcome.text)
            continue
        record = {
            key: {**record.get(key, {}), **part} if isinstance(part, dict) else part for key, part in outcome.items()
        }
    if faults:
        raise ProtocolError(joined(faults))
    # In the plan only where arms differ: the lock of others keeps its form.
    counts = record.pop(GRADIENT_EVALUATIONS, {})
    record |= {GRADIENT_EVALUATIONS: counts} if unequal_evaluations(counts) else {}
    return with_own_modules(trial.protocol, record)


def run(
    protocol: Protocol | str | Path,
    out: str | Path,
    *,
    engine: str = "local",
    watch: Watch = silent,
    ray_address: str | None = None,
    stall_minutes: float | None = None,
    alike: bool = False,
) -> dict[str, Any]:
    """Run a trial into the folder `out`, or resume the one that was begun there; return results.json.

    Under torchrun the first process leads the trial, and all processes train its jobs together. engine: "local" or
    "ray", then with the address of a cluster; stall_minutes: minutes without a new epoch after which a job's worker is
    ended and the job tried again; alike: refuse to train on more than one kind of machine and software.

    Raises EquipoiseError (one sentence) for errors that the user can correct, Interrupted after Ctrl-C (resumable).
    """
    how = Execution(engine, ray_address, stall_minutes, alike)
    return ranks.led(lambda: _run(protocol, Path(out), how, watch), Path(out) / RESULTS)


def _run(protocol: Protocol | str | Path, out: Path, how: Execution, watch: Watch) -> dict[str, Any]:
    prove_ours(out, RUN)
    try:
        with under_way(watch, "reading the source"):
            protocol, cohort = read(protocol)
        trial = replace(plan(protocol, cohort, out, CaseCards(cohort, watch)), how=how)
        with under_way(watch, "looking for leaks"):
            leaks = honest_leaks(trial)
        return carry_out(trial, leaks, watch=watch)
    except KeyboardInterrupt as error:
        raise Interrupted(f"stopped; the same command resumes in {out}") from error


def carry_out(trial: Trial, leaks: Sequence[Leak], *, watch: Watch = silent) -> dict[str, Any]:
    """Lock, train, open the test set and judge, or resume there. As `run`, for a planned trial."""
    try:
        # Before the layers are tried, which takes a minute.
        refuse_in_use(trial.out)
        refuse_other_plan(trial.out, trial.protocol, trial.cohort)
        with workers_of(trial.protocol.training.threads, trial.how) as workers:
            # Before the folder is claimed and the plan locked: an arm that cannot train must not leave a locked trial
            # behind.
            with under_way(watch, "testing the layers of every arm"):
                unsound = unsound_layers(trial, workers)
            trial = with_routes(trial, unsound)
            telling = cautions(trial, leaks)
            # From here on by the names of outputs: whatever is written below, errors too, names nobody.
            trial, known = with_names_for_outputs(trial)
            leaks = leaks_named(leaks, known)
            record: dict[str, Any] = {"leaks": [vars(leak) for leak in leaks], "unsound_layers": unsound}
            with under_way(watch, "testing a first step of every arm"):
                record |= _tried(trial, workers)
            record["not_leaks"] = pairs_named(trial.protocol, known)
            # The key has the name that the module had in version 0.1, because reports read locks of that version too.
            record |= {"telling": telling, **length_record(trial), "processes": ranks.count()}
            record |= {"configured": trial.configured} if trial.configured else {}
            with under_way(watch, "writing every output once, with stand-ins"):
                rehearse(trial, workers, record)
            with claimed(trial.out) as held:
                record |= {"tuning": describe_tuning(trial.protocol, trial.tuning)} if trial.draws else {}
                text = text_named(trial.protocol, known)
                opened = opened_cases(trial.cohort, trial.folds, trial.cards.all())
                ledger = lock(trial.out, trial.protocol, trial.cohort, trial.folds, record, text, opened)
                ledger.held = held
                if trial.how.alike:
                    refuse_unlike(trial.out, [*trial.draws, *trial.jobs], record["environment"])
                unsound = agreed(read_lock(trial.out).get("unsound_layers", []), unsound, trial.out)
                trial = with_routes(with_locked_modules(trial, read_lock(trial.out)), unsound)
                trial = _settle(trial, ledger, workers)
                # Again after tuning, which chooses settings, and so the layers, of a network.
                trial = with_routes(_tune(trial, ledger, workers, watch), unsound)
                results = _at_every_look(trial, ledger, workers, watch)
        # A split by case shows the effect of leaks; its spread must not enter the plans of other trials.
        if trial.protocol.split.unit != "case":
            keep_spread(results, design_of(trial.protocol, trial.cohort), seed_spreads())
        if trial.protocol.split.contrast == "case":
            # After the main trial, which is complete by then, whatever happens to the contrast.
            _run(trial.protocol.by_case(), trial.out / BY_CASE, trial.how, watch)
            results = write_report(trial.out, trust_code=True)
        return results
    except OSError as error:
        raise EquipoiseError(
            f"{trial.out} could not be written ({error}); free disk space, then run the same command again"
        ) from error


def _tried(trial: Trial, workers: Engine) -> dict[str, Any]:
    """Take a first step of every arm, say which evaluates more gradients than others, and return facts for the lock."""
    record = try_arms(trial, workers)
    for uneven in unequal_evaluations(record.get(GRADIENT_EVALUATIONS, {})):
        remark(sentence(uneven))
    return record


def _at_every_look(trial: Trial, ledger: Ledger, workers: Engine, watch: Watch) -> dict[str, Any]:
    """Train, open the test set and report, once, or at every planned look until all is decided; return the results."""
    results: dict[str, Any] = {}
    for look in trial.protocol.endpoints.looks or (None,):
        part = _up_to(trial, look)
        _train(part, part.jobs, "training", ledger, workers, watch)
        predict_test(part, ledger, workers, watch, look)
        ledger.held()
        results = write_report(trial.out, trust_code=True)
        # The report exists before the maps are made: an error there must not cost the results.
        if _explain(part, ledger, workers):
            results = write_report(trial.out, trust_code=True)
        # Before the jobs of the next look train: no test image may lie beside them. Prepared cases are as
        # large as the cohort, and can be made again from it.
        shutil.rmtree(trial.out / SAMPLES, ignore_errors=True)
        if not _goes_on(trial, ledger, results, look):
            break
    return results


def _explain(trial: Trial, ledger: Ledger, workers: Engine) -> bool:
    """Make attribution maps of the report's example cases, once; return whether there are new ones."""
    made = (trial.out / ATTRIBUTIONS).is_file() and not interrupted_maps(trial.out, ledger.events)
    if made or not trial.cohort.task_record.explained:
        return False
    arm, cases = example_cases(trial.out, trust_code=True)
    job = next((job for job in trial.jobs if job.arm.name == arm and job.predictions_file.is_file()), None)
    if job is None or not cases:
        return False
    samples = _prepared(trial, cases)
    ((_, outcome),) = workers.run(
        "equipoise.training.inference.attribution_maps:explain", [(job, samples)], lambda: None
    )
    if isinstance(outcome, local.Failure):
        write_json(trial.out / ATTRIBUTIONS, {"arm": arm, "failed": reason_of(job, outcome)})
    ledger.append(EXPLAINED, files=maps_of(trial.out))
    return True


def _prepared(trial: Trial, cases: Sequence[str]) -> Samples:
    """Return these test cases: those prepared for the predictions where all still exist, else prepared again."""
    for number in range(len(trial.folds)):
        folder = samples_folder(trial.out, number) / "test"
        if not staged(folder):
            continue
        test = Samples.load(folder)
        if set(cases) <= set(test.cases):
            return test.chosen([test.cases.index(case) for case in cases])
    place = {case.id: index for index, case in enumerate(trial.cohort.cases)}
    return samples_of(trial.cohort, np.array([place[case] for case in cases]), trial.pipeline)


def _up_to(trial: Trial, look: int | None) -> Trial:
    """Return the trial with the jobs of the seeds up to a look; the whole trial without looks."""
    seeds = trial.protocol.training.seeds[:look]
    return replace(trial, jobs=[job for job in trial.jobs if job.seed in seeds])


def _goes_on(trial: Trial, ledger: Ledger, results: dict[str, Any], look: int | None) -> bool:
    """Return whether the next seeds are trained: only where a planned look leaves a comparison undecided."""
    if look is None or look == trial.protocol.endpoints.looks[-1]:
        return False
    still_open = undecided(results, look)
    # Recorded once, because a resumed run comes here again.
    if ledger.last(LOOKED) is None:
        ledger.append(LOOKED, look=look, undecided=still_open)
    return bool(still_open)


def _settle(trial: Trial, ledger: Ledger, workers: Engine) -> Trial:
    """Choose precision and compiling for all arms, where the protocol says "auto"; a recorded choice is kept."""
    if not trial.protocol.training.is_open:
        return trial
    # The measurement depends on the machine and its load, so a resumed run must not repeat it: arms would differ.
    recorded = ledger.last(SETTLED)
    if recorded is None:
        networks = [job for job in trial.jobs[: len(trial.protocol.arms)] if job.is_network]
        request = (networks, first_samples(trial), len(trial.folds[0].train))
        ((_, outcome),) = workers.run("equipoise.training.loop.arithmetic:settle", [request], lambda: None)
        if isinstance(outcome, local.Failure):
            raise ProtocolError(f"precision and compiling could not be measured: {outcome.text}")
        recorded = ledger.append(SETTLED, **outcome, **contrast_of(_with_arithmetic(trial.protocol, outcome)))
    chosen = {key: recorded.data[key] for key in ("precision", "compile")}
    protocol = _with_arithmetic(trial.protocol, chosen)
    jobs, draws = ([job.settled(**chosen) for job in jobs] for jobs in (trial.jobs, trial.draws))
    return replace(trial, protocol=protocol, jobs=jobs, draws=draws)


def _with_arithmetic(protocol: Protocol, chosen: Mapping[str, Any]) -> Protocol:
    """Return the protocol with the precision and compiling that were measured to be the fastest."""
    values = {key: chosen[key] for key in ("precision", "compile")}
    return protocol.model_copy(update={"training": protocol.training.model_copy(update=values)})


def _tune(trial: Trial, ledger: Ledger, workers: Engine, watch: Watch) -> Trial:
    """Train every draw, and put the settings with the best validation into the jobs; a recorded choice is kept."""
    if not trial.draws:
        return trial
    recorded = ledger.last(TUNED)
    if recorded is None:
        _train(trial, trial.draws, "tuning", ledger, workers, watch)
        by_loss = trial.draws[0].training.select == "loss"
        lower = (
            by_loss
            or not endpoint_of(trial.protocol.endpoints.primary, trial.cohort, trial.protocol.folder).higher_is_better
        )
        choices = choose(trial.draws, trial.tuning, lower_is_better=lower)
        values = {job.name: draw_value(job) for job in trial.draws}
        recorded = ledger.append(TUNED, values=values, chosen=[vars(choice) for choice in choices])
    chosen = [Choice(**choice) for choice in recorded.data["chosen"]]
    return replace(trial, jobs=tuned_jobs(trial.jobs, chosen))


def _refuse_untrainable(trial: Trial, part: str, staged: Samples) -> None:
    """Raise CohortError for cases that no job can learn from, or that cannot select an epoch."""
    networks = any(job.is_network for job in trial.jobs)  # nnU-Net chooses its patches itself
    if networks and not staged.uniform and trial.protocol.training.patch is None:
        raise CohortError(
            f"the {part} cases of {trial.cohort.name} differ in shape; set training.patch, or preprocessing.size"
        )
    lacking = trial.cohort.task_record.lacking(staged)
    if lacking:
        raise CohortError(f"no {part} case of {trial.cohort.name} {lacking}; use larger parts")


def _train(trial: Trial, jobs: list[Job], label: str, ledger: Ledger, workers: Engine, watch: Watch) -> None:
    """Train every job that has not ended; the ledger gets an event for each end."""
    ended = ends(ledger.events)
    for job in jobs:
        refuse_changed(job, ended.get(job.name))
    refuse_late_modules([job for job in jobs if has_ended(job)])
    waiting = [job for job in jobs if not has_ended(job)]
    if waiting:
        for number, fold in enumerate(trial.folds):
            for part in ("train", "validation"):
                place = samples_folder(trial.out, number) / part
                targets = trial.protocol.training.targets
                # Once per fold and part for all jobs: prepared by each job, the same work would be done arms × seeds
                # times.
                staged = stage(trial.cohort, getattr(fold, part), trial.pipeline, place, targets)
                _refuse_untrainable(trial, part, staged)
        begin(waiting, ledger)
    release_images(trial.cohort)  # its first cases were kept in memory for the trial of the arms, which is over
    total = sum(job.training.epochs for job in jobs)
    watching = Watching(jobs, lambda done: watch(f"{label}, epochs", done, total), trial.how.stall_minutes, ledger.held)
    stopped = run_waiting([job for job in waiting if not job.members], workers, watching)
    # Ensembles after the jobs that they are made of, and only where all of these have ended.
    stopped = stopped or run_waiting([job for job in waiting if job.members], workers, watching)
    # From the files of the jobs and not from the results of the calls: jobs that ended in an interrupted run count too.
    again = {job.name for job in waiting if job.name in ended}
    due = [job for job in jobs if job.name not in ended or job.name in again]
    several = validated_otherwise(ledger.events[0].hash) if due else set[str]()
    for job in due:
        done = job.done()
        if done is not None:
            record_end(job, done, ledger, several)
    watching.finish()
    refuse_late_modules([job for job in jobs if has_ended(job)])
    if stopped:
        raise Interrupted(
            f"{stopped[0]}; this is not a failure of the arm: give the machine more memory or time, or run fewer jobs "
            f"in parallel (EQUIPOISE_CORES), then the same command resumes it ({len(stopped)} such jobs)"
        )
