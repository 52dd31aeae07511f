"""Try the layers of every arm in worker processes, which a broken kernel may end, before anything is locked."""

import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from equipoise.atomic_write import write_json
from equipoise.cohorts.store import cache_folder
from equipoise.engines import local
from equipoise.engines.jobs import Engine
from equipoise.engines.tenants import SHARED, tenant_of
from equipoise.errors import Interrupted, LedgerError, ProtocolError
from equipoise.lookup import source_of
from equipoise.progress import remark
from equipoise.runfolder.evidence import sha256_of
from equipoise.runfolder.job import Job
from equipoise.trials.arm_faults import joined
from equipoise.trials.plan import Trial, first_samples

PRECISIONS = ("float32", "bfloat16")
MOST_CRASHES = 40
"""Tries of one arm that may end their process; a build that crashes more often is of no use."""
Unsound = list[dict[str, Any]]
"""Entries of an arm in one precision: arm, model, precision, and layers with fault and route."""


def unsound_layers(trial: Trial, workers: Engine) -> Unsound:
    """Try every layer that an arm will call, and return the arms with unsound ones, each layer with a sound route.

    Raises EquipoiseError for a layer without a sound route, and for an arm whose process dies at once.
    """
    samples, fold = first_samples(trial), trial.folds[0]
    facts = {"training_cases": len(fold.train), "other_cases": (len(fold.validation), len(fold.test))}
    jobs, entries = _different(trial), Unsound()
    known = {code: _Known(trial.protocol.training.threads, code) for code in dict.fromkeys(map(_code_of, jobs))}
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder, _own(workers) as crashing:
        requests: list[dict[str, Any]] = [
            {"job": job, "samples": samples, **facts, "verdicts": known[_code_of(job)].verdicts,
             "log": Path(folder) / str(number)}
            for number, job in enumerate(jobs)
        ]  # fmt: skip
        for request, result in zip(requests, _tried(crashing, requests), strict=True):
            known[_code_of(request["job"])].keep(result)
            if result["unsound"]:
                job = request["job"]
                entries.append(_arm(job) | {"precision": job.training.precision, "layers": result["unsound"]})
    for one in known.values():
        one.write()
    return entries


def _code_of(job: Job) -> str:
    """Return a hash of the code that an arm brings along; "" for built-in arms."""
    # What a process tells of a layer after it has run somebody's code holds for that code alone: it may have changed
    # the layer.
    if tenant_of(job) == SHARED:
        return ""
    files = (source_of(name, job.code) for name in (job.arm.model.name, job.arm.optimizer.name) if ":" in name)
    content = [job.arm.model.name, job.arm.optimizer.name, *(sha256_of(file) for file in files if file is not None)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def _own(workers: Engine) -> Any:
    """Return workers that may crash: those of the trial, or one of its own where the trial's are this process."""
    return _Kept(workers) if isinstance(workers, local.Workers) else local.Workers(workers.threads)


class _Kept:
    """Workers that stay open after the block."""

    def __init__(self, workers: Any) -> None:
        self.workers = workers

    def __enter__(self) -> Any:
        return self.workers

    def __exit__(self, *_: object) -> None:
        return


def _different(trial: Trial) -> list[Job]:
    """Return one job for each network and precision that the trial may train."""
    chosen = trial.protocol.training.precision
    jobs: dict[str, Job] = {}
    for job in (job for job in (*trial.jobs, *trial.draws) if job.is_network):
        for precision in PRECISIONS if chosen == "auto" else (chosen,):
            key = json.dumps([_arm(job), precision], sort_keys=True)
            jobs.setdefault(key, job.settled(precision, job.training.compile is True))
    return list(jobs.values())


def _arm(job: Job) -> dict[str, Any]:
    return {"arm": job.arm.name, "model": job.arm.model.model_dump(mode="json")}


def _tried(workers: Any, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the worker's result for each request; a try that ends its process counts, and the rest is tried again."""
    results: dict[int, dict[str, Any]] = {}
    for _ in range(MOST_CRASHES):
        waiting = [number for number in range(len(requests)) if number not in results]
        if not waiting:
            break
        arguments = [requests[number] for number in waiting]
        faults: dict[int, str] = {}
        for index, outcome in workers.run("equipoise.training.loop.soundness:try_layers", arguments, lambda: None):
            number = waiting[index]
            if isinstance(outcome, local.Failure):
                try:
                    requests[number] = _after_crash(requests[number], outcome)
                except ProtocolError as error:
                    faults[number] = str(error)
            else:
                results[number] = outcome
        if faults:
            # All of them, and in the arms' order: workers end in any order.
            raise ProtocolError(joined({requests[number]["job"].arm.name: faults[number] for number in sorted(faults)}))
    if len(results) < len(requests):
        arm = next(requests[number]["job"].arm.name for number in range(len(requests)) if number not in results)
        raise ProtocolError(
            f"arm {arm!r}: over {MOST_CRASHES} of its layers crash in this build of torch; install another version"
        )
    return [results[number] for number in range(len(requests))]


def _after_crash(request: dict[str, Any], failure: local.Failure) -> dict[str, Any]:
    """Return the request with what its process found before it died; raises where that cannot go on."""
    arm = request["job"].arm.name
    if failure.kind == local.KILLED or failure.kind == "MemoryError":
        raise Interrupted(f"arm {arm!r}: {failure.text} while its layers were tested; run the same command again")
    if failure.kind != local.DIED:
        raise ProtocolError(failure.text if failure.text.startswith("arm ") else f"arm {arm!r}: {failure.text}")
    verdicts, last = dict(request["verdicts"]), dict[str, Any]()
    for line in _lines(request["log"]):
        last = line
        if "tried" in line:
            verdicts[line["tried"]] = line["fault"]
    if "trying" in last and last["trying"] not in verdicts:
        # A reference that crashes says nothing about the layer, which was finite and the same every time.
        verdicts[last["trying"]] = "" if last["stage"] == "reference" else f"it ends the process: {failure.text}"
        return request | {"verdicts": verdicts}
    if "tracing" in last and not request.get("safely"):
        return request | {"verdicts": verdicts, "safely": True}
    where = f"in its layer {last['layer']!r}" if "layer" in last else "in its first step"
    raise ProtocolError(f"arm {arm!r}: {failure.text} {where}; install another version of torch, or leave the arm out")


def _lines(log: Path) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError):
        return []


class _Known:
    """Verdicts of earlier trials on this machine, in the user's cache; without it every layer is tried again.

    code: a hash of the code in whose presence layers are tried; "" for this package's own.
    """

    def __init__(self, threads: int, code: str = "") -> None:
        self.file = cache_folder() / "layers" / f"{machine_key(threads)}{'-' * bool(code)}{code}.json"
        try:
            kept = json.loads(self.file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            kept = {}
        sound = isinstance(kept, dict) and all(isinstance(fault, str) for fault in kept.values())
        self.verdicts: dict[str, str] = kept if sound else {}
        self.new: dict[str, str] = {}

    def keep(self, result: Mapping[str, Any]) -> None:
        """Note the verdicts that hold for other models too."""
        self.new |= {key: result["verdicts"][key] for key in result["shared"] if key not in self.verdicts}

    def write(self) -> None:
        """Write them; a failure is a remark, because the cache only saves time."""
        if not self.new:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            write_json(self.file, self.verdicts | self.new)
        except OSError as error:
            remark(f"the results of layer tests could not be cached for later trials ({error})")


def machine_key(threads: int) -> str:
    """Return a hash of what the kernels depend on: torch, processor, compiler, threads, and settings of libraries."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "unknown"
    prefixes = ("ATEN_", "DNNL_", "KMP_", "MKL_", "OMP_", "ONEDNN_", "TORCH", "CC", "LD_PRELOAD", "MALLOC_", "CUDA_VIS")
    settings = sorted(item for item in os.environ.items() if item[0].startswith(prefixes))
    facts = [torch, version("equipoise"), platform.machine(), _processor(), threads, settings]
    sources = sorted((Path(local.__file__).parents[1] / "kernels").glob("*.c"))
    facts += [hashlib.sha256(source.read_bytes()).hexdigest() for source in sources]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:24]


def _processor() -> list[str]:
    """Return the processor's model and its features."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return [platform.processor()]
    facts = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in lines}
    return [facts.get(key, "") for key in ("vendor_id", "model name", "flags", "Features", "microcode")]


def with_routes(trial: Trial, entries: Unsound) -> Trial:
    """Return the trial whose jobs follow the routes of their arm."""
    return replace(
        trial, jobs=[_routed(j, entries) for j in trial.jobs], draws=[_routed(j, entries) for j in trial.draws]
    )


def _routed(job: Job, entries: Unsound) -> Job:
    own = [entry for entry in entries if {"arm": entry["arm"], "model": entry["model"]} == _arm(job)]
    routes = {e["precision"]: tuple((row["layer"], row["route"]) for row in e["layers"]) for e in own}
    members = tuple(_routed(member, entries) for member in job.members)
    return replace(job, routes=routes, members=members)


def agreed(recorded: Unsound, here: Unsound, out: Path) -> Unsound:
    """Return the routes that a resumed trial began with.

    Raises LedgerError where this machine computes a layer unsoundly that was sound where the trial began.
    """

    def layers(entries: Unsound) -> set[str]:
        """Name every unsound layer."""
        return {json.dumps([e["arm"], e["model"], e["precision"], r["layer"]]) for e in entries for r in e["layers"]}

    if not layers(here) <= layers(recorded):
        arm = next(e["arm"] for e in here if not layers([e]) <= layers(recorded))
        raise LedgerError(
            f"{out} was started on a machine that computes arm {arm!r} correctly, and this machine does not; continue "
            "there, or use a new run folder"
        )
    return recorded
