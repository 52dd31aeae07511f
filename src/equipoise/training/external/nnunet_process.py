"""The process in which nnU-Net plans, preprocesses and trains: its own commands, with the trial's seed and budget.

It is started by `nnunet.py` with a request on its standard input, and ends when that closes, so that it never outlives
the worker that started it.
"""

import json
import os
import random
import sys
import threading
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from equipoise.errors import EquipoiseError
from equipoise.lookup import imported
from equipoise.training.external.budget import Budget, Rows, SpentError
from equipoise.training.external.plain_pickles import refuse_code
from equipoise.training.external.raw_folder import DATASET

TRAINER = "EquipoiseTrainer"
DRAWING = "nnUNet_n_proc_DA"
"""Names how many processes draw patches; with 0 the training itself does."""
PREPARED, PROGRESS, WEIGHTS, FACTS, FAILURE = (
    "prepared.json",
    "progress.jsonl",
    "weights.safetensors",
    "facts.json",
    "failure.txt",
)


def end_with(pipe: int) -> None:
    """End this process when the pipe closes, which is when the process at its other end has ended."""
    while os.read(pipe, 1):
        pass
    os._exit(1)


def request_of(pipe: int) -> dict[str, Any]:
    """Read the request, a line of JSON, from a pipe that stays open."""
    content = b""
    while not content.endswith(b"\n"):
        more = os.read(pipe, 65536)
        if not more:
            raise EOFError("the worker that started this process has ended")
        content += more
    request: dict[str, Any] = json.loads(content)
    return request


def main() -> None:
    """Read a request from standard input, and carry it out."""
    # Without Python's own buffer of standard input: nnU-Net forks, and a fork waits for ever for a lock that the thread
    # below would hold.
    pipe = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    request = request_of(pipe)
    threading.Thread(target=end_with, args=(pipe,), daemon=True).start()
    folder = Path(request["folder"])
    try:
        # nnU-Net opens these files as they are, and a folder that goes on may come from somebody else.
        refuse_code(folder)
        prepare(request, folder)
        train(request, folder)
    except BaseException as error:
        text = str(error).strip().split("\n")[0]
        plain = isinstance(error, EquipoiseError)
        (folder / FAILURE).write_text(text if plain else f"{type(error).__name__}: {text}", encoding="utf-8")
        raise


def prepare(request: dict[str, Any], folder: Path) -> None:
    """Let nnU-Net take its fingerprint, plan and preprocess, once; then state the split."""
    if (folder / PREPARED).is_file():
        return
    start, used = time.perf_counter(), sum(os.times()[:4])
    # The planner takes this number for its own threads, of which there cannot be none.
    drawing = os.environ.get(DRAWING)
    os.environ[DRAWING] = str(request["threads"])
    module = import_module("nnunetv2.experiment_planning.plan_and_preprocess_entrypoints")
    options = ["-d", "1", "-c", request["configuration"], "-pl", request["planner"], "-np", "1", "-npfp", "1"]
    sys.argv = ["nnUNetv2_plan_and_preprocess", *options, "--verify_dataset_integrity", "--no_pbar"]
    module.plan_and_preprocess_entry()
    del os.environ[DRAWING]
    os.environ |= {} if drawing is None else {DRAWING: drawing}
    preprocessed = folder / "preprocessed" / DATASET
    (preprocessed / "splits_final.json").write_text(json.dumps([request["split"]]), encoding="utf-8")
    cost = {"seconds": time.perf_counter() - start, "processor_seconds": sum(os.times()[:4]) - used}
    (folder / PREPARED).write_text(json.dumps({"plans": plans_name(preprocessed), **cost}), encoding="utf-8")


def plans_name(preprocessed: Path) -> str:
    """Return the name of the plan that the planner wrote. Raises EquipoiseError where there is not exactly one."""
    names = []
    for file in sorted(preprocessed.glob("*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, dict) and "plans_name" in content:
            names.append(str(content["plans_name"]))
    if len(names) != 1:
        raise EquipoiseError(f"nnU-Net's planner wrote {len(names)} plans instead of one; name another planner")
    return names[0]


def train(request: dict[str, Any], folder: Path) -> None:
    """Train by nnU-Net's own command, from its last checkpoint where there is one, and leave weights and facts."""
    from nnunetv2.run import run_training

    plans = json.loads((folder / PREPARED).read_text(encoding="utf-8"))["plans"]
    made = trainer_class(request, folder)
    # nnU-Net finds trainers by their name in files alone, and this one is made here.
    run_training.recursive_find_trainer_class_by_name = lambda *_: made
    draw = Draws(request["stream"])
    draw.begin("weights")
    arguments = ["1", request["configuration"], "0", "-tr", TRAINER, "-p", plans, "--c", "-device", request["device"]]
    sys.argv = ["nnUNetv2_train", *arguments]
    run_training.run_training_entry()
    _leave(request, folder, plans)


class Draws:
    """The random streams of a job: named by the job and the epoch, so that a resumed training draws the same."""

    def __init__(self, stream: str) -> None:
        self.stream = stream

    def begin(self, part: object) -> None:
        """Seed Python's, numpy's and torch's generators from the job and the part."""
        import numpy as np
        import torch

        from equipoise.training.loop.determinism import derive

        seed = derive(self.stream, part)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 (the generator that nnU-Net draws from)
        torch.manual_seed(seed)


def base_class(request: dict[str, Any]) -> Any:
    """Return the trainer that the protocol names: nnU-Net's own, or a class beside the protocol.

    Raises EquipoiseError for an unknown one.
    """
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
    from nnunetv2.utilities.find_objects import recursive_find_trainer_class_by_name

    name = request["trainer"]
    try:
        own = ":" in name
        base: Any = (
            imported(name, "trainer", Path(request["code"])) if own else recursive_find_trainer_class_by_name(name)
        )
    except (RuntimeError, AssertionError):
        base = None
    if not isinstance(base, type) or not issubclass(base, nnUNetTrainer):
        raise EquipoiseError(f"{name!r} is not a trainer of nnU-Net; name one of its package, or your own module:Class")
    return base


def trainer_class(request: dict[str, Any], folder: Path) -> Any:
    """Return the named trainer with the trial's budget, seed and checkpoints, without nnU-Net's own last validation.

    All else is the trainer's: network, loss, optimizer, augmentation, oversampling, patches.
    """
    budget = Budget(request["epochs"], request["steps"], request["seconds"], request["device"])
    own = {"rows": Rows(folder / PROGRESS), "draws": Draws(request["stream"]), "threads": request["threads"]}
    return type(TRAINER, (Budgeted, base_class(request)), own | {"budget": budget})


_Base: Any = object


class Budgeted(_Base):  # type: ignore[misc] # put before a trainer of nnU-Net, whose methods it calls
    """What the trial changes of a trainer of nnU-Net; `budget`, `rows`, `draws` and `threads` are of the job."""

    budget: Budget
    rows: Rows
    draws: "Draws"
    threads: int

    def initialize(self) -> None:
        """Set the budget before nnU-Net makes its schedule from it."""
        import torch

        # nnU-Net's command takes all cores of the machine; a job has the threads that the protocol gives it.
        torch.set_num_threads(self.threads)
        self.num_epochs, self.save_every = self.budget.epochs, 1
        super().initialize()

    def on_train_start(self) -> None:
        """Go on after the epochs of the checkpoint that was loaded; there may be none."""
        self.budget.resume(self.rows.cut(self.current_epoch))
        super().on_train_start()

    def save_checkpoint(self, filename: str) -> None:
        """Write the checkpoint beside its place first: a kill while it is written must leave the one before."""
        draft = Path(f"{filename}.part")
        super().save_checkpoint(str(draft))
        if draft.is_file():
            draft.replace(filename)

    def on_epoch_start(self) -> None:
        """Set the length of the epoch, and begin its random streams."""
        self.num_iterations_per_epoch, self.num_val_iterations_per_epoch = self.budget.begin_epoch()
        self.draws.begin(self.current_epoch)
        super().on_epoch_start()

    def on_train_epoch_start(self) -> None:
        """Decay the rate as nnU-Net does, over the budget where it is one of time."""
        super().on_train_epoch_start()
        if self.budget.seconds is not None:
            for group in self.optimizer.param_groups:
                group["lr"] = self.initial_lr * (1 - self.budget.share_used()) ** 0.9

    def on_epoch_end(self) -> None:
        """Leave a row for the worker, then do what nnU-Net does: checkpoints."""
        value = self.logger.get_value
        seen = {"train_loss": value("train_losses", step=-1), "validation_loss": value("val_losses", step=-1)}
        seen |= {"validation_pseudo_dice": value("mean_fg_dice", step=-1)}
        seen |= {"learning_rate": self.optimizer.param_groups[0]["lr"]}
        # Before the checkpoint: a row that no checkpoint follows is cut off when the training goes on.
        self.rows.add({key: float(one) for key, one in seen.items()} | self.budget.end_epoch())
        super().on_epoch_end()

    def run_training(self) -> None:
        """Train until the last epoch, or until the time is used up."""
        try:
            super().run_training()
        except SpentError:
            self.on_train_end()

    def perform_actual_validation(self, *_: Any, **__: Any) -> None:
        """Do nothing: the trial predicts validation and test cases itself, once the test set is opened."""


def _leave(request: dict[str, Any], folder: Path, plans: str) -> None:
    """Write the last weights as plain data, with all that a prediction needs beside them."""
    import torch
    from safetensors.torch import save_file

    place = folder / "results" / DATASET / f"{TRAINER}__{plans}__{request['configuration']}"
    # Written by this process, or looked through before it was opened.
    state = torch.load(place / "fold_0" / "checkpoint_final.pth", map_location="cpu", weights_only=False)
    weights, same = distinct(state["network_weights"])
    save_file(weights, folder / WEIGHTS)
    mirrored = state["inference_allowed_mirroring_axes"]
    facts = {
        "plans": json.loads((place / "plans.json").read_text(encoding="utf-8")),
        "dataset": json.loads((place / "dataset.json").read_text(encoding="utf-8")),
        "configuration": request["configuration"],
        "mirroring_axes": None if mirrored is None else [int(axis) for axis in mirrored],
        "same": same,
        "parameters": sum(value.numel() for value in weights.values()),
    }
    (folder / FACTS).write_text(json.dumps(facts), encoding="utf-8")


def distinct(state: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors that differ in memory, and for the others the name of the one that each is."""
    # nnU-Net's decoder names its encoder's weights a second time.
    first: dict[tuple[int, tuple[int, ...]], str] = {}
    weights, same = {}, {}
    for name, value in state.items():
        key = (value.data_ptr(), tuple(value.shape))
        if key in first:
            same[name] = first[key]
        else:
            first[key] = name
            weights[name] = value.contiguous()
    return weights, same


if __name__ == "__main__":
    main()
