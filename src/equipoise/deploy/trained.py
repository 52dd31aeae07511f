"""The trained job of an arm, rebuilt from its run folder: plan, cohort, settings and weights as they were used."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from equipoise.cohorts import Cohort
from equipoise.cohorts.case_cards import CaseCards
from equipoise.cohorts.sources import load
from equipoise.cohorts.splits.patient_groups import with_guessed_patients
from equipoise.cohorts.splits.patient_names import with_one_spelling
from equipoise.deploy.contract import TRUTHS, Contract, Window
from equipoise.errors import EquipoiseError
from equipoise.lookup import is_imported, nearest
from equipoise.models.pretrained import COARSE_HEADS
from equipoise.plain_files import bytes_of
from equipoise.preprocessing import Pipeline
from equipoise.protocol import Named, Protocol
from equipoise.protocol.nnunet_section import is_nnunet
from equipoise.protocol.toml import read_text
from equipoise.runfolder.job import Job
from equipoise.runfolder.ledger import PREDICTED, TUNED, Ledger
from equipoise.runfolder.names import as_locked
from equipoise.runfolder.own_code import MODULES, check_code, own_code_of_arm
from equipoise.runfolder.paths import CHECKPOINT, JOBS, PROTOCOL, WEIGHTS, job_name
from equipoise.runfolder.read import JobRecord, RunFolder, read_folder
from equipoise.tasks.task import MASK
from equipoise.training.loop.arm import code_hashes
from equipoise.training.preparation.staging import plan_jobs
from equipoise.training.tuning.draws import Choice, tuned_jobs

Indices = NDArray[np.int64]
OPTION = "--protocol"


@dataclass(frozen=True)
class TrainedJob:
    """One training run of an arm with everything it was trained and tested with.

    parts: indices of the cohort's cases, by part of the job's fold. validation: the value it was chosen by, with the
    values of all finished runs of the arm.
    """

    run: RunFolder
    protocol: Protocol
    cohort: Cohort
    job: Job
    record: JobRecord
    parts: dict[str, Indices]
    validation: dict[str, float]

    @property
    def pipeline(self) -> Pipeline:
        """The preprocessing of the trial."""
        return Pipeline.from_settings(self.protocol.preprocessing)


def trained_job(
    run: str | Path,
    arm: str,
    job: str | None = None,
    protocol: str | Path | None = None,
    trust_code: bool = False,
) -> TrainedJob:
    """Return a training run of an arm: the one with the median validation value, or that named FOLD-SEED by `job`.

    protocol: where the protocol lies now, if data or code are no longer beside the run folder. trust_code: whether code
    that the folder names may be run.
    Raises EquipoiseError (one sentence) for a run that has not ended or does not agree with its ledger, data that are
    not those of the trial, and tasks that a bundle does not know.
    """
    folder = read_folder(Path(run), trust_code)
    refuse_unsound(folder)
    names = [*folder.arms(), *(str(twin["name"]) for twin in folder.untuned())]
    if arm not in names:
        raise EquipoiseError(f"{run} has no arm {arm!r}; {nearest(arm, names)}")
    _refuse_nnunet(folder, arm)
    record, values = _chosen(folder, arm, job)
    _refuse_untrusted(folder, arm, protocol, trust_code)
    plan, cohort = _data(folder, protocol)
    _refuse_task(plan)
    here = _job(folder, plan, cohort, record)
    _refuse_changed_code(folder, here)
    place = {case.id: index for index, case in enumerate(cohort.cases)}
    fold = folder.lock["split"]["folds"][record.fold]
    parts = {name: np.array([place[case] for case in fold[name]], np.int64) for name in ("train", "validation", "test")}
    return TrainedJob(folder, plan, cohort, here, record, parts, values)


def _refuse_nnunet(folder: RunFolder, arm: str) -> None:
    """Raise EquipoiseError for an arm of nnU-Net, which resamples and normalises by its own code."""
    model = next((plan.get("model") for plan in folder.lock["arms"] if plan["name"] == arm), None)
    if isinstance(model, dict) and is_nnunet(str(model.get("name"))):
        raise EquipoiseError(
            f"{arm} is trained by nnU-Net, and a bundle cannot contain nnU-Net's preprocessing; use nnU-Net with the "
            f"plan and the weights in {folder.path / JOBS / arm}"
        )


def refuse_unsound(folder: RunFolder) -> None:
    """Raise EquipoiseError for a run that has not predicted, or does not agree with its ledger and its plan."""
    if not folder.ledger.verified:
        problem = folder.ledger.problem or "its ledger cannot be verified"
        raise EquipoiseError(f"{folder.path} cannot be exported: {problem}")
    if folder.ledger.plan_changed:
        raise EquipoiseError(
            f"{folder.path / PROTOCOL} is not the plan that was locked, so the arm cannot be rebuilt; restore the file"
        )
    if Ledger(folder.path).last(PREDICTED) is None:
        raise EquipoiseError(
            f"{folder.path} has not finished: nothing is predicted yet; finish it with the same `equipoise run`"
        )


def _chosen(folder: RunFolder, arm: str, job: str | None) -> tuple[JobRecord, dict[str, float]]:
    """Return the run named, or of the finished runs the one with the median validation value; and all values."""
    finished = folder.finished(arm)
    if not finished:
        raise EquipoiseError(f"no training run of {arm} finished, so there is nothing to export; the report says why")
    values = {f"{one.fold}-{one.seed}": _validation(folder, one) for one in finished}
    runs = {f"{one.fold}-{one.seed}": one for one in finished}
    if job is not None:
        if job not in runs:
            raise EquipoiseError(f"{arm} has no finished run {job!r}; {nearest(job, runs)}")
        return runs[job], values
    # The lower middle by value and then by name: of two middle runs the choice must not depend on their order.
    ordered = sorted(values, key=lambda name: (values[name], name))
    return runs[ordered[(len(ordered) - 1) // 2]], values


def _validation(folder: RunFolder, record: JobRecord) -> float:
    primary = str(folder.lock["endpoints"]["primary"])
    epoch = record.done.get("chosen_epoch")
    column = record.history.get(f"validation_{primary}", record.history.get("validation_loss"))
    if not epoch or column is None or len(column) < epoch:
        raise EquipoiseError(
            f"the run {record.arm} {record.fold}-{record.seed} states no validation value of its chosen epoch; restore "
            "its history.csv, or name a run with --job"
        )
    value = float(column[epoch - 1])
    return value if np.isfinite(value) else -np.inf


def _data(folder: RunFolder, protocol: str | Path | None) -> tuple[Protocol, Cohort]:
    """Return the plan and the trial's cohort, from the first place where it is that very cohort."""
    text, complaint = read_text(folder.path / PROTOCOL), ""
    for place in _places(folder, protocol):
        plan = Protocol.parse(text, str(folder.path / PROTOCOL), place)
        if plan.cohort_path is not None and not plan.cohort_path.exists():
            complaint = complaint or f"{plan.cohort_path} does not exist"
            continue
        try:
            cohort = with_one_spelling(load(plan.cohort, plan.cohort_path, plan.folder))
            if plan.split.patients == "guessed":
                cohort = with_guessed_patients(cohort, CaseCards(cohort))
        except EquipoiseError as error:
            complaint = complaint or str(error)
            continue
        if cohort.fingerprint() == folder.lock["cohort"]["fingerprint"]:
            return plan, as_locked(cohort, folder.path)
        complaint = f"the data at {plan.cohort_path or place} are not those that the trial was locked with"
    raise EquipoiseError(
        f"the cohort of {folder.path} is needed to prove the arm, and {complaint}; give the protocol file beside its "
        f"data and code with {OPTION}"
    )


def _places(folder: RunFolder, protocol: str | Path | None) -> Iterator[Path]:
    """Yield the folders where data and code may lie; the fingerprint decides, so none of them is trusted."""
    if protocol is not None:
        yield Path(protocol).resolve().parent
        return
    recorded = folder.lock.get("code_folder")
    places = [] if recorded is None else [Path(os.path.normpath(folder.path.resolve() / str(recorded)))]
    yield from dict.fromkeys([*places, folder.path.resolve().parent, Path.cwd(), folder.path.resolve()])


def _refuse_untrusted(folder: RunFolder, arm: str, protocol: str | Path | None, trusted: bool) -> None:
    """Raise EquipoiseError before code that the run folder names would run without permission."""
    place = next(iter(_places(folder, protocol)))
    plans = (*folder.lock["arms"], *folder.untuned())
    for what, name in own_code_of_arm(folder.path, plans, arm):
        digest = (folder.lock.get("code") or {}).get(name)
        if digest is not None:
            check_code(name, what, digest, place, trusted, folder.lock.get(MODULES))
        elif not (trusted or is_imported(name)):
            raise EquipoiseError(
                f"the {what} {name!r} is custom code that this run folder names, which runs only with your "
                "permission; read it, then add --trust-code"
            )


def _refuse_task(plan: Protocol) -> None:
    if ":" in plan.cohort.task:
        raise EquipoiseError(
            f"the task {plan.cohort.task} is custom code, which a bundle does not contain; export an arm of a "
            "built-in task"
        )


def _job(folder: RunFolder, plan: Protocol, cohort: Cohort, record: JobRecord) -> Job:
    """Return the job with the arithmetic and the settings that it was trained with."""
    name = job_name(record.arm, record.fold, record.seed)
    jobs = plan_jobs(plan, cohort, len(folder.lock["split"]["folds"]), folder.path)
    job = next((job for job in jobs if job.name == name), None)
    if job is None:
        raise EquipoiseError(f"the plan of {folder.path} has no job {name}; restore {PROTOCOL}")
    tuned = Ledger(folder.path).last(TUNED)
    if tuned is not None:
        (job,) = tuned_jobs([job], [Choice(**choice) for choice in tuned.data["chosen"]])
    job = job.settled(record.done["precision"], record.done["compile"])
    # The weights are those of the run: what they started from may be gone, and does not matter any more.
    return _without_start(job)


def _without_start(job: Job) -> Job:
    arm = job.arm.model_copy(update={"pretrained": None})
    plain = replace(job, arm=arm, members=tuple(_without_start(member) for member in job.members))
    return plain if job.members else answering(plain)


def answering(job: Job) -> Job:
    """Return the job with a built-in network that has no heads for coarser maps: they have no part in its answers."""
    model = job.arm.model
    if ":" in model.name:
        return job
    settings = {key: value for key, value in model.settings.items() if key != "deep_supervision"}
    arm = job.arm.model_copy(update={"model": Named.model_validate({"name": model.name, **settings})})
    return replace(job, arm=arm, training=job.training.model_copy(update={"deep_supervision": False}))


def _refuse_changed_code(folder: RunFolder, job: Job) -> None:
    before, now = folder.lock.get("code") or {}, code_hashes([job])
    for name, digest in now.items():
        if before.get(name) != digest:
            raise EquipoiseError(
                f"the source of {name} is not the code that the trial was locked with; restore it, then export again"
            )


def weights_of(trained: TrainedJob) -> bytes:
    """Return the weights of the chosen epoch that answers need.

    Raises EquipoiseError where the file is gone, or is not the one of the ledger.
    """
    file = trained.job.weights_file
    try:
        content = bytes_of(file)
    except OSError as error:
        raise EquipoiseError(
            f"the weights of {trained.job.name} cannot be read ({error}), and results alone cannot be exported; "
            "restore them, or run the trial again"
        ) from error
    recorded = recorded_weights(trained)
    if recorded is not None and recorded != hashlib.sha256(content).hexdigest():
        raise EquipoiseError(f"{file} is not the file that the ledger recorded; restore the original")
    return answering_weights(content, trained.job)


def answering_weights(content: bytes, job: Job) -> bytes:
    """Return weights without those of heads for coarser maps, see `answering`; unchanged where there are none."""
    if ":" in job.arm.model.name:
        return content
    tensors = load_tensors(content)
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith(COARSE_HEADS)}
    return content if len(kept) == len(tensors) else save_tensors(kept)


def recorded_weights(trained: TrainedJob) -> str | None:
    """Return the SHA-256 of the weights in the ledger; None for a run of a version that did not record it."""
    for event in Ledger(trained.run.path).events:
        files = event.data.get("files")
        if event.data.get("job") == trained.job.name and isinstance(files, dict):
            digest = files.get(f"{CHECKPOINT}/{WEIGHTS}")
            if digest is not None:
                return str(digest)
    return None


def contract_of(trained: TrainedJob, smallest: int | None, oriented: bool, fixed: tuple[int, ...] | None) -> Contract:
    """Return the contract of a trained job.

    smallest: side that its network needs. oriented: whether the trial's volumes had a place in space. fixed: the only
    sides of a whole image that the exported network answers; None where it answers others.
    """
    job, dims = trained.job, trained.job.spatial_dims
    truth = job.task_record.truth
    if truth not in TRUTHS:
        raise EquipoiseError(f"a bundle does not support the task {job.task}; it supports {', '.join(TRUTHS)}")
    window = Window(
        side=job.training.patch_of(dims),
        overlap=job.inference.overlap,
        mirror_axes=job.inference.mirror_axes(dims),
        batch=job.training.batch_size,
        fixed=fixed,
        smallest=None if smallest is None else (smallest,) * dims,
    )
    return Contract(
        truth=truth,
        classes=job.classes,
        channels=trained.cohort.channels,
        spatial_dims=dims,
        pipeline=trained.pipeline.hard,
        window=window,
        targets=job.training.targets,
        regions=dict(job.regions),
        oriented=oriented,
        threshold=job.inference.candidate_threshold,
        apart_mm=job.inference.apart_mm,
        spacing_stated=trained.cohort.spacing_stated,
        values=trained.cohort.mask_values if truth == MASK else (),
    )
