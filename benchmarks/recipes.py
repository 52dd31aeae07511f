"""What each training recipe changes, switched alone against what `equipoise init` chooses: on validation cases only.

    python benchmarks/recipes.py [--cohort hippocampus cheng nodules2d] [--arms unet deeplab densenet]
        [--recipes NAME …] [--device cpu|cuda] [--sized-for cpu|cuda] [--epochs N | --total-minutes M] [--seeds 2]
        [--workers N] [--cases N] [--precision bfloat16] --out FILE.jsonl
    python benchmarks/recipes.py --table FILE.jsonl …

The cohorts lie in the folder that EQUIPOISE_DATA names: Decathlon hippocampus (3D masks), brain tumours of Cheng 2017
(2D masks) and LIDC nodules (2D labels). Each is split into training .6, validation .2 and test .2 by patients, or by
the groups that stand in for them; the test part is neither prepared nor predicted, and the rules do not see its
intensities and masks. A cohort is staged once, in memory where there is room, and shared by all jobs. Jobs are those
of a trial (`equipoise.training.loop.train.train`, with checkpoints), run side by side in processes of one thread. With
--total-minutes the epochs of each cohort follow from epochs that are timed while all processes are busy; what has not
ended in time is left out and counted. Every job that ends adds a line to FILE.jsonl: the validation value of the epoch
it chose, of the last epoch, and of every case. Lines that are there already are not made again.

The table: mean of base over seeds, and each recipe's difference to it with a 95 % interval: normal, from the variance
over patients (bootstrap, the same patients for both) and that between seeds, pooled over the recipes of a cohort.
"missed": cases with a structure whose answer does not touch it. To rehearse on two cores in minutes:

    python benchmarks/recipes.py --device cpu --cases 60 --epochs 2 --recipes base mirror --out /tmp/recipes.jsonl
"""

import sys

if sys.path[0].endswith("benchmarks"):
    sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from queue import Empty
from typing import Any

from recipe_settings import COHORTS, LABELS, MASKS, changed, recipes_of
from recipe_table import ARMS, area, lines_of, table

THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
SHARES = (0.6, 0.2, 0.2)
WEIGHT = {"hippocampus": 0.4, "cheng": 0.4, "nodules2d": 0.2}
"""Shares of the time."""
FILLED = 0.8
"""Share of the remaining time that is planned: the processes do not end together."""
FEWEST_EPOCHS, MOST_EPOCHS = 4, 150
TIMING = 10_000
"""The seed of jobs that are only timed."""
Tables = dict[str, Any]


@dataclass(frozen=True)
class Staged:
    """A cohort ready for training: the tables that init chose, and one job of every arm, without epochs."""

    name: str
    tables: Tables
    folder: Path
    train: int
    validation: int


@dataclass(frozen=True)
class Task:
    """A job to run: which recipe, with how many epochs."""

    cohort: str
    arm: str
    recipe: str
    seed: int
    epochs: int

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells it from others."""
        return self.cohort, self.arm, self.recipe, self.seed


def staged(name: str, data: Path, folder: Path, device: str, cases: int | None) -> Staged:
    """Configure a cohort by init's rules, and stage its training and validation cases."""
    from equipoise.cohorts.case_cards import CaseCards
    from equipoise.cohorts.splits.split import split
    from equipoise.configuration.design import Design
    from equipoise.configuration.fingerprint import fingerprint
    from equipoise.configuration.recipe import recipe
    from equipoise.configuration.tables import tables_of
    from equipoise.preprocessing import Pipeline
    from equipoise.protocol import Protocol
    from equipoise.training.preparation.staging import stage
    from equipoise.trials.plan import read

    known = {**COHORTS[name], "path": str(data / COHORTS[name]["path"])}
    bare = Protocol.model_validate({"cohort": known, "arms": [{"name": "unet", "model": "unet"}]})
    _, cohort = read(bare)
    if cases is not None:
        cohort = replace(cohort, cases=cohort.cases[:: max(1, len(cohort) // cases)][:cases])
    (fold,) = split(cohort, fractions=SHARES)
    seen = sorted([*fold.train.tolist(), *fold.validation.tolist()])
    rules = recipe(fingerprint(cohort, CaseCards(cohort).all(), seen), device)
    tables = tables_of(rules, Design("holdout", SHARES, 1, 1, len(ARMS)), MOST_EPOCHS)
    protocol = Protocol.model_validate({"cohort": known, **tables})
    for part in ("train", "validation"):
        stage(cohort, fold.part(part), Pipeline.from_settings(protocol.preprocessing), folder / part)
    common = {
        "task": protocol.cohort.task, "classes": cohort.task_record.network_classes(cohort),
        "regions": cohort.task_record.judged_structures(cohort), "channels": len(cohort.channels),
        "spatial_dims": cohort.spatial_dims, "primary": protocol.endpoints.primary,
    }  # fmt: skip
    return Staged(name, {"cohort": known, "common": common, **tables}, folder, len(fold.train), len(fold.validation))


def job_of(made: Staged, task: Task, precision: str, folder: Path) -> Any:
    """Return the job of a task."""
    from equipoise.protocol import Protocol
    from equipoise.runfolder.job import Job

    common = made.tables["common"]
    tables = changed(made.tables, recipes_of(task.cohort)[task.recipe], common["spatial_dims"], task.epochs)
    tables["training"] |= {"precision": precision, "seeds": [task.seed]}
    plan = {key: value for key, value in tables.items() if key != "common"}
    plan["arms"] = [arm for arm in plan["arms"] if arm["name"] == task.arm]
    protocol = Protocol.model_validate(plan)
    return Job(
        arm=protocol.arms[0], fold=0, seed=task.seed, folder=folder, samples=made.folder, code=folder,
        training=protocol.training, augmentation=protocol.augmentation, inference=protocol.inference, **common,
    )  # fmt: skip


def done(job: Any, task: Task) -> Tables:
    """Train a job and answer its validation cases; return the line of the results."""
    from safetensors.torch import load_file

    from equipoise.training.data.samples import Samples
    from equipoise.training.loop.determinism import device, reproducible
    from equipoise.training.loop.train import build_learner, train

    start = time.perf_counter()
    end = train(job)
    line = {**vars(task), "minutes": 0.0, "reason": end["reason"]}
    if end["reason"] is None:
        history = job.history()[f"validation_{job.primary}"]
        with reproducible(1):
            samples = Samples.load(job.samples / "validation")
            learner = build_learner(job, device(), samples)
            learner.model.load_state_dict(load_file(job.weights_file))
            line |= answered(learner, samples, job)
        line |= {"chosen_epoch": end["chosen_epoch"], "last": float(history[-1]), "memory_mb": end["peak_memory_mb"]}
        line |= {"best": float(history[end["chosen_epoch"] - 1]), "patients": list(samples.patients)}
        seconds = job.history()["seconds"]
        line["epoch_seconds"] = float((seconds[-1] - seconds[0]) / (len(history) - 1)) if len(history) > 1 else 0.0
    return line | {"minutes": round((time.perf_counter() - start) / 60, 3)}


def answered(learner: Any, samples: Any, job: Any) -> Tables:
    """Return the value of every validation case, and of all: mean Dice and misses, or the area under the curve."""
    import numpy as np

    from equipoise.evaluation.regions import region_masks
    from equipoise.training.tasks.classification import classify
    from equipoise.training.tasks.segmentation import case_value, segment, to_masks

    if not job.task_record.has_masks:
        scores = classify(learner, samples, job).double().softmax(1).numpy()[:, 1]
        truth = np.array(samples.targets).astype(int)
        return {"value": area(truth, scores), "scores": scores.round(6).tolist(), "truth": truth.tolist()}
    values, missed, filled, touched = [], [], [], []
    for index, probability in enumerate(segment(learner, samples, job)):
        target, masks = np.array(samples.targets[index]), to_masks(job, probability)
        spacing = samples.grids[index].prepared_spacing_mm
        values.append(case_value(job.primary, region_masks(target, job.regions), masks, spacing, {}))
        whole = np.any(list(masks.values()), axis=0)
        missed.append(bool((target > 0).any() and not (whole & (target > 0)).any()))
        # What an answer would be that is never empty: where a structure is likeliest, down to half of that probability.
        if not whole.any() and job.training.targets == "classes":
            masks, whole = likeliest(job, probability)
        filled.append(case_value(job.primary, region_masks(target, job.regions), masks, spacing, {}))
        touched.append(bool((target > 0).any() and not (whole & (target > 0)).any()))
    lines = {"cases": np.round(values, 5).tolist(), "missed": missed}
    lines |= {"never_empty": float(np.mean(filled)), "missed_then": float(np.mean(touched))}
    return {"value": float(np.mean(values)), **lines}


def likeliest(job: Any, probability: Any) -> tuple[dict[str, Any], Any]:
    """Return the masks of the likeliest structure alone, and all of them in one."""
    import numpy as np
    from scipy import ndimage

    whole = 1 - probability[0]
    parts, _ = ndimage.label(whole >= whole.max() / 2)
    part = parts == parts[np.unravel_index(whole.argmax(), whole.shape)]
    labels = np.where(part, 1 + probability[1:].argmax(axis=0), 0)
    return {name: np.isin(labels, members) for name, members in job.regions.items()}, part


def work(tasks: Any, lines: Any, cohorts: dict[str, Staged], precision: str, folder: Path) -> None:
    """Run tasks until a None comes; every end is put into `lines`, failures with their reason."""
    import torch

    torch.set_num_threads(1)
    for task in iter(tasks.get, None):
        place = folder / f"{task.cohort}-{task.arm}-{task.recipe}-{task.seed}-{task.epochs}"
        place.mkdir(parents=True, exist_ok=True)
        try:
            line = done(job_of(cohorts[task.cohort], task, precision, place), task)
        except Exception as error:  # a recipe that fails must not end the others
            line = {**vars(task), "reason": f"{type(error).__name__}: {error}", "trace": traceback.format_exc()}
        lines.put(line)
        shutil.rmtree(place, ignore_errors=True)


class Pool:
    """Processes that run tasks side by side, until a deadline (by time.monotonic; None waits for all)."""

    def __init__(self, workers: int, cohorts: dict[str, Staged], precision: str, folder: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.tasks, self.lines = context.Queue(), context.Queue()
        given = (self.tasks, self.lines, cohorts, precision, folder)
        self.processes = [context.Process(target=work, args=given, daemon=True) for _ in range(workers)]
        for process in self.processes:
            process.start()

    def run(self, tasks: Sequence[Task], deadline: float | None) -> Iterator[Tables]:
        """Yield the lines of the tasks as they end; stops at the deadline."""
        for task in tasks:
            self.tasks.put(task)
        left = len(tasks)
        while left and (deadline is None or time.monotonic() < deadline):
            with contextlib.suppress(Empty):
                line = self.lines.get(timeout=0.5)
                # A timing that ended after its time was called off counts for nothing.
                if (line["seed"] == TIMING) == (tasks[0].seed == TIMING):
                    left -= 1
                    yield line
            if not any(process.is_alive() for process in self.processes):
                raise SystemExit("all processes have died; give the machine more memory, or fewer --workers")

    def drop(self) -> None:
        """Take back the tasks that no process has begun."""
        with contextlib.suppress(Empty):
            while True:
                self.tasks.get(timeout=0.2)

    def close(self) -> None:
        """End the processes at once: their jobs are not needed any more."""
        for process in self.processes:
            process.kill()


def planned(
    arguments: argparse.Namespace, pool: Pool, cohorts: Mapping[str, Staged], deadline: float | None
) -> list[Task]:
    """Return all tasks, the first seed first and the longest first; with a deadline, with the epochs that fit."""
    chosen = {
        name: [one for one in recipes_of(name) if not arguments.recipes or one in arguments.recipes] for name in cohorts
    }
    for name, made in cohorts.items():  # recipes that change nothing here
        if "patch" not in made.tables["training"] and "more-foreground" in chosen[name]:
            chosen[name].remove("more-foreground")
    keys = [(name, arm) for name in cohorts for arm in arguments.arms]
    seconds, beside = dict.fromkeys(keys, 1.0), 0.0
    if deadline is not None and arguments.epochs is None:
        seconds, beside = _timed(pool, keys, deadline)
    tasks = []
    for name in cohorts:
        epochs = arguments.epochs or FEWEST_EPOCHS
        if deadline is not None and arguments.epochs is None:
            room = FILLED * (deadline - time.monotonic()) * len(pool.processes)
            room *= WEIGHT[name] / sum(WEIGHT[other] for other in cohorts)
            jobs = len(chosen[name]) * arguments.seeds
            one = jobs * sum(seconds[name, arm] for arm in arguments.arms)
            room -= jobs * len(arguments.arms) * beside
            epochs = int(min(MOST_EPOCHS, max(FEWEST_EPOCHS, room / max(one, 1e-9))))
        print(f"{name}: {epochs} epochs of {cohorts[name].train} cases", flush=True)
        tasks += [
            Task(name, arm, recipe, seed, epochs)
            for seed in range(arguments.seeds) for arm in arguments.arms for recipe in chosen[name]
        ]  # fmt: skip
    return sorted(
        tasks, key=lambda task: (task.seed, task.recipe != "base", -task.epochs * seconds[task.cohort, task.arm])
    )


def _timed(pool: Pool, keys: Sequence[tuple[str, str]], deadline: float) -> tuple[dict[tuple[str, str], float], float]:
    """Return seconds per epoch by cohort and arm, measured in at most a third of the time, and those of a job beside.

    What was not measured in that time counts as the slowest that was.
    """
    tasks = [Task(name, arm, "base", TIMING, 3) for name, arm in keys]
    seconds, beside = {}, []
    for line in pool.run(tasks, time.monotonic() + (deadline - time.monotonic()) / 3):
        key, epoch = (line["cohort"], line["arm"]), line.get("epoch_seconds", 0.0)
        beside.append(60 * line.get("minutes", 0.0) - 3 * epoch)
        seconds[key] = epoch
        print(f"timed {key}: {line['reason'] or f'{epoch:.2f} s an epoch, {beside[-1]:.1f} s beside'}", flush=True)
    pool.drop()
    slowest = max(seconds.values(), default=1e9)  # nothing measured: the fewest epochs
    # The least, because the first job of every process starts its libraries.
    return {key: seconds.get(key, slowest) for key in keys}, max(1.0, min(beside, default=1.0))


def arguments_of(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", nargs="+", default=list(COHORTS), choices=list(COHORTS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--recipes", nargs="+", default=[], choices=sorted({*MASKS, *LABELS}))
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--sized-for", default="cpu", choices=["cpu", "cuda"], help="whose widths and patches (cpu)")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--total-minutes", type=float)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--workers", type=int, default=0, help="processes (default: the cores, on a card one less)")
    parser.add_argument("--cases", type=int, help="so many cases of each cohort, evenly spread")
    parser.add_argument("--precision", default="bfloat16", choices=["float32", "bfloat16"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--table", type=Path, nargs="+", help="print the table of result files, train nothing")
    arguments = parser.parse_args(argv)
    if not arguments.table and not arguments.out:
        parser.error("name the file of results with --out")
    return arguments


def main() -> None:
    """Stage the cohorts, run the jobs, print the table."""
    arguments, start = arguments_of(), time.monotonic()
    if arguments.table:
        print(table(lines_of(arguments.table)))
        return
    os.environ |= THREADS | ({"CUDA_VISIBLE_DEVICES": ""} if arguments.device == "cpu" else {})
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    data = Path(os.environ.get("EQUIPOISE_DATA", "shared/data"))
    deadline = None if arguments.total_minutes is None else start + 60 * arguments.total_minutes - 5
    memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="recipes-", dir=memory) as folder:
        jobs = [(name, data, Path(folder) / name, arguments.sized_for, arguments.cases) for name in arguments.cohort]
        with multiprocessing.get_context("spawn").Pool(len(jobs)) as staging:
            cohorts = {made.name: made for made in staging.starmap(staged, jobs)}
        print(f"staged after {time.monotonic() - start:.0f} s", flush=True)
        cores = len(os.sched_getaffinity(0))
        count = arguments.workers or max(1, cores - (arguments.device == "cuda"))
        pool = Pool(count, cohorts, arguments.precision, Path(folder) / "jobs")
        try:
            tasks = planned(arguments, pool, cohorts, deadline)
            made_before = {tuple(line[key] for key in ("cohort", "arm", "recipe", "seed")) for line in
                           lines_of([arguments.out]) if not line.get("reason")}  # fmt: skip
            tasks = [task for task in tasks if task.key not in made_before]
            ended = 0
            with arguments.out.open("a") as out:
                for line in pool.run(tasks, deadline):
                    out.write(json.dumps(line | {"device": arguments.device}) + "\n")
                    out.flush()
                    ended += 1
                    name = " ".join(str(line[key]) for key in ("cohort", "arm", "recipe", "seed"))
                    print(f"{ended}/{len(tasks)} {name}: {line['reason'] or line['value']}", flush=True)
        finally:
            pool.close()
    print(f"{ended} of {len(tasks)} jobs in {(time.monotonic() - start) / 60:.1f} min, {count} processes")
    print(table(lines_of([arguments.out])))


if __name__ == "__main__":
    main()
