"""Train a job by nnU-Net: write its folder, run its process, watch it, and keep weights, costs and history."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from safetensors.torch import load_file, save_file

from equipoise.child_process import PYTHON, import_path
from equipoise.errors import ProtocolError
from equipoise.protocol import NNUNetSection
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import EXTERNAL, HISTORY, NNUNET_FACTS
from equipoise.runfolder.write import write_rows
from equipoise.runfolder.writer import Writer
from equipoise.training.data.samples import Samples
from equipoise.training.external.budget import Rows
from equipoise.training.external.installed import PACKAGE, refuse_absent
from equipoise.training.external.nnunet_answers import Answers
from equipoise.training.external.nnunet_process import DRAWING, FACTS, FAILURE, PREPARED, PROGRESS, WEIGHTS
from equipoise.training.external.raw_folder import raw_folder
from equipoise.training.learner.distributed import Ranks
from equipoise.training.loop.cost import PeakMemory, latency_ms
from equipoise.training.loop.determinism import device, environment
from equipoise.training.loop.ending import DivergedError, ended
from equipoise.training.loop.written_errors import of_another_program

LOOK_SECONDS = 1.0
LOG = "log.txt"
_KILLED = (-9, -15)
_PACKAGES = (PACKAGE, "batchgenerators", "batchgeneratorsv2", "dynamic-network-architectures")
NOT_EQUAL_ON_CUDA = (
    "nnU-Net draws its patches in several processes on a graphics card, so another run of this seed is not bit-equal"
)
NOT_EQUAL_IN_TIME = (
    "the budget of nnU-Net is time, so another run of this seed makes another number of updates and is not bit-equal"
)


def settings_of(job: Job) -> NNUNetSection:
    """Return the settings of a job that nnU-Net trains."""
    settings = job.arm.nnunet
    if settings is None:
        raise ValueError(f"{job.arm.name} is not an arm of nnU-Net")
    return settings


def configuration_of(job: Job) -> str:
    """Return the configuration of nnU-Net's plan that is trained."""
    return settings_of(job).configuration or ("3d_fullres" if job.spatial_dims == 3 else "2d")


def train(job: Job) -> dict[str, Any]:
    """Train one job by nnU-Net, or let it go on from its last checkpoint, and return the contents of done.json."""
    return ended(job, lambda ranks, writer: _trained(job, ranks, writer))


def _trained(job: Job, ranks: Ranks, writer: Writer | None) -> dict[str, Any]:
    if ranks.count > 1 or writer is None:
        raise ProtocolError("nnU-Net trains in one process and not under a launcher; start without torchrun")
    refuse_absent(job.arm.name)
    parts = {part: Samples.load(job.samples / part) for part in ("train", "validation")}
    folder = job.folder / EXTERNAL
    memory_mb = run_process(job, parts, folder, writer)
    return _kept(job, folder, parts["validation"], writer, memory_mb)


def run_process(job: Job, parts: Mapping[str, Samples], folder: Path, writer: Writer | None = None) -> float:
    """Run nnU-Net's process in `folder` to its end, and return the peak memory of it and its children in MB.

    writer: of the job, whose history is kept up to date; Superseded, and nothing of nnU-Net left running, where the job
    has another. Raises DivergedError with nnU-Net's last sentence where it fails, MemoryError where it is killed.
    """
    split = raw_folder(job, parts, folder)
    (folder / FAILURE).unlink(missing_ok=True)
    own = ":" in settings_of(job).trainer
    # What a trainer of the user's own prints may name patients, and nobody can remove it from a log.
    place = Path(os.devnull) if own and job.hides_names else folder / LOG
    with place.open("ab") as log:
        process = subprocess.Popen(  # noqa: S603 (our own interpreter and module)
            [*PYTHON, "-m", "equipoise.training.external.nnunet_process"],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env=_environment(folder),
        )
        try:
            memory_mb = _watched(process, _request(job, folder, split), job, folder, writer)
        finally:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()
    if process.returncode in _KILLED:
        raise MemoryError("nnU-Net was killed, perhaps because memory ran out")
    if process.returncode:
        text = _failure(folder, process.returncode)
        kind = re.match(r"nnU-Net failed: \w+(?=:)", text)
        if own and job.hides_names:
            (folder / FAILURE).unlink(missing_ok=True)
        raise DivergedError(of_another_program(kind[0] if kind else "nnU-Net failed", text, job, own=own))
    return memory_mb


def _request(job: Job, folder: Path, split: Mapping[str, list[str]]) -> dict[str, Any]:
    settings = settings_of(job)
    return {
        "folder": str(folder.resolve()),
        "configuration": configuration_of(job),
        "planner": settings.planner,
        "trainer": settings.trainer,
        "code": str(job.code.resolve()),
        "epochs": job.training.epochs,
        "steps": settings.steps_per_epoch,
        "seconds": None if settings.minutes is None else 60 * settings.minutes,
        "stream": job.stream,
        "threads": job.training.threads,
        "device": device().type,
        "split": split,
    }


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of nnU-Net's process: its three folders, and no process beside it on a processor."""
    places = {f"nnUNet_{name}": str((folder / name).resolve()) for name in ("raw", "preprocessed", "results")}
    for place in places.values():
        Path(place).mkdir(parents=True, exist_ok=True)
    # One process draws all patches: the draws are then those of the seed, and the time is that of the job's threads.
    alone = {DRAWING: "0"} if device().type == "cpu" else {}
    path = {"PYTHONPATH": os.pathsep.join(import_path()), "PYTHONUNBUFFERED": "1"}
    # A worker keeps its freed memory; nnU-Net, with feature maps many times as large, gives it back as it would alone.
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    return {**own, **places, **alone, **path, "nnUNet_def_n_proc": "1", "MPLBACKEND": "Agg"}


def _watched(
    process: "subprocess.Popen[bytes]", request: Mapping[str, Any], job: Job, folder: Path, writer: Writer | None
) -> float:
    """Send the request, and look at the process until it ends; return its peak memory in MB."""
    peak, known = 0.0, -1
    if process.stdin is not None:
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()  # and stays open: its end would end the process
    while process.poll() is None:
        time.sleep(LOOK_SECONDS)
        peak = max(peak, _memory_mb(process.pid))
        rows = Rows(folder / PROGRESS).read()
        if writer is not None:
            writer.check()
            if rows and len(rows) != known:
                known = len(rows)
                write_rows(job.folder / HISTORY, history(rows), writer.write)
    return peak


def history(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    """Return the columns of history.csv from nnU-Net's rows."""
    names = ("epoch", "train_loss", "validation_loss", "validation_pseudo_dice", "learning_rate", "updates", "seconds")
    return [{name: int(row[name]) if name in ("epoch", "updates") else row[name] for name in names} for row in rows]


def _memory_mb(pid: int) -> float:
    """Return the resident memory of a process and its children; 0 where it has just ended."""
    total = 0
    try:
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.Error:
        return total / 1e6
    return total / 1e6


def _failure(folder: Path, code: int) -> str:
    """Return why nnU-Net's process failed, in one sentence without paths of this machine."""
    try:
        text = (folder / FAILURE).read_text(encoding="utf-8")
    except OSError:
        text = f"its process crashed (exit code {code})"
    return f"nnU-Net failed: {re.sub(re.escape(str(folder.resolve())), EXTERNAL, text)}"


def _kept(job: Job, folder: Path, validation: Samples, writer: Writer, memory_mb: float) -> dict[str, Any]:
    """Keep weights and facts in the job's folder, remove nnU-Net's own files, and return what done.json says."""
    rows = Rows(folder / PROGRESS).read()
    if not rows:
        raise DivergedError("nnU-Net ended before its first epoch; give it more minutes")
    write_rows(job.folder / HISTORY, history(rows), writer.write)
    prepared = json.loads((folder / PREPARED).read_text(encoding="utf-8"))
    facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    weights = load_file(folder / WEIGHTS)
    writer.write(job.weights_file, lambda path: save_file(weights, path))
    content = json.dumps(facts | {"versions": versions(), "trainer": settings_of(job).trainer}, indent=1)
    writer.write(job.folder / NNUNET_FACTS, lambda path: path.write_text(content, encoding="utf-8"))
    answers = Answers(job)
    with PeakMemory() as memory:
        latency = latency_ms(lambda: answers.of(validation, 0))
    # Prepared cases as they are, and checkpoints that only nnU-Net reads: as large as the cohort, for every job.
    shutil.rmtree(folder, ignore_errors=True)
    seconds = settings_of(job).minutes
    return {
        "epochs": len(rows) if seconds is not None else job.training.epochs,
        "updates": int(sum(row["updates"] for row in rows)),
        "chosen_epoch": len(rows),
        "stopped_epoch": None,
        "parameters": facts["parameters"],
        "train_seconds": round(prepared["seconds"] + rows[-1]["seconds"], 3),
        "processor_seconds": round(rows[-1]["processor_seconds"], 3),
        "preparation_seconds": round(prepared["processor_seconds"], 3),
        "latency_ms": round(latency, 3),
        "peak_memory_mb": round(max(memory_mb, memory.peak_mb), 1),
        "environment": environment(job.training.threads) | versions(),
        "warnings": [] if seconds is None and device().type == "cpu" else [_unequal(seconds)],
        "precision": "float32" if device().type == "cpu" else "float16",
        "compile": False,
    }


def _unequal(minutes: float | None) -> str:
    return NOT_EQUAL_ON_CUDA if minutes is None else NOT_EQUAL_IN_TIME


def versions() -> dict[str, str]:
    """Return the versions of nnU-Net and of what it computes with."""
    known = {}
    for name in _PACKAGES:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = "unknown"
    return known


def tried(job: Job, epochs: int) -> Job:
    """Return the job with epochs of a single update, to try whether nnU-Net can train it at all."""
    few = {**job.arm.model.settings, "steps_per_epoch": 1, "epochs": epochs}
    few.pop("minutes", None)
    model = job.arm.model.model_validate({"name": job.arm.model.name, **few})
    training = job.training.model_copy(update={"epochs": epochs})
    return replace(job, arm=job.arm.model_copy(update={"model": model}), training=training)
