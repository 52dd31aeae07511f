"""Train a job from its first epoch to its done.json: resumable at every epoch; divergence is a recorded failure."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from equipoise.cohorts.cohort import IGNORED
from equipoise.errors import ProtocolError
from equipoise.evaluation.regions import membership
from equipoise.lookup import imported
from equipoise.models.ensemble import Ensemble
from equipoise.optimizers import after_validation, needs_batchnorm_recalibration, schedule
from equipoise.runfolder.environments import environment_changes
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import CHECKPOINT, HISTORY, RATES
from equipoise.runfolder.validated_epochs import EpochLog
from equipoise.runfolder.write import write_rows
from equipoise.runfolder.writer import Writer
from equipoise.training.augmentation import Augmentation
from equipoise.training.augmentation.mixup import Mixup
from equipoise.training.data.batches import Feed
from equipoise.training.data.samples import Samples
from equipoise.training.learner.distributed import ALONE, Ranks
from equipoise.training.learner.learner import Learner
from equipoise.training.learner.losses import Loss, balanced_weights, build, by_region, without_ignored
from equipoise.training.learner.recompute import recompute_blocks
from equipoise.training.learner.routes import NOT_COMPILED, apply_routes
from equipoise.training.learner.weight_average import EpochAverage, WeightAverage
from equipoise.training.loop import checkpoint
from equipoise.training.loop.arm import build_model, build_optimizer, parameter_count
from equipoise.training.loop.batch_independence import refuse_dependence
from equipoise.training.loop.bound_checkpoint import of_job, refuse_foreign
from equipoise.training.loop.cost import PeakMemory, latency_ms
from equipoise.training.loop.determinism import device, environment, generator, seeded
from equipoise.training.loop.diagnostics import Observation
from equipoise.training.loop.divergence import guessing_loss, refuse_divergence
from equipoise.training.loop.ending import DivergedError, ended
from equipoise.training.loop.epoch import NotFiniteError, evaluation_weights, train_epoch
from equipoise.training.loop.initial_weights import frozen_norm_layers
from equipoise.training.loop.layout import layout_of
from equipoise.training.loop.optimizer_state import load_optimizer
from equipoise.training.loop.packages import packages_of
from equipoise.training.tasks import endpoint_of, training_of

ATTEMPTS = 2


@dataclass
class Progress:
    """The state that a checkpoint holds in addition to the learner: everything that later epochs and results need."""

    epoch: int = 0
    attempt: int = 0
    seconds: float = 0.0
    processor_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    updates: int = 0
    evaluations: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    rates: list[dict[str, float]] = field(default_factory=list)
    chosen_epoch: int | None = None
    chosen_weights: dict[str, Tensor] = field(default_factory=dict)
    environments: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def train(job: Job) -> dict[str, Any]:
    """Train one job, or resume it from its last checkpoint, and return the contents of done.json; see `ended`."""
    return ended(job, lambda ranks, writer: _Training(job, ranks, writer).run())


class _Training:
    def __init__(self, job: Job, ranks: Ranks, writer: Writer | None) -> None:
        self.job, self.ranks, self.writer = job, ranks, writer
        self.device = device()
        self.samples = Samples.load(job.samples / "train")
        self.validation = Samples.load(job.samples / "validation")
        self.augmentation = Augmentation.from_settings(job.augmentation, job.spatial_dims)
        self.feed = Feed.of(job.training, job.spatial_dims)
        self.learner = build_learner(job, self.device, self.samples, ranks)
        self.progress, self.run_hash = Progress(), job.run_hash()
        self.epochs = EpochLog(job, self.run_hash)
        smallest = self.feed.smallest(len(self.samples))
        if smallest < ranks.count:
            raise ProtocolError(
                f"a batch of {smallest} cases cannot be shared by {ranks.count} processes; start fewer processes, or "
                "raise training.batch_size"
            )

    @property
    def _stream(self) -> tuple[object, ...]:
        return (self.job.stream, self.progress.attempt, self.progress.epoch)

    def run(self) -> dict[str, Any]:
        """Run all remaining epochs and return the costs and the chosen epoch for done.json."""
        self._resume()
        with PeakMemory() as memory:
            while self.progress.epoch < self.job.training.epochs and not self._waited_enough():
                self._epoch_or_retry(memory)
            self._refuse_divergence()
            chosen = self.progress.chosen_weights
            if self.writer is not None:
                self.writer.write(self.job.weights_file, lambda path: save_file(chosen, path))
            self.learner.model.load_state_dict(chosen)
            self.learner.model.eval()
            # Timed with the chosen weights, inside the memory measurement: inference may need more than training.
            latency = self._latency_ms()
        self._refuse_batch_dependence()
        peak, on_device = max(memory.peak_mb, self.progress.peak_memory_mb), memory.device_mb
        return {
            "chosen_epoch": self.progress.chosen_epoch,
            "stopped_epoch": self.progress.epoch if self._waited_enough() else None,
            "parameters": parameter_count(self.learner.model),
            "train_seconds": round(self.progress.seconds, 3),
            "processor_seconds": round(self.progress.processor_seconds, 3),
            **self._gradients_taken(),
            "latency_ms": round(latency, 3),
            "peak_memory_mb": round(peak, 1),
            **({} if on_device is None else {"device_memory_mb": round(on_device, 1)}),
            "environment": self.progress.environments[-1],
            "warnings": self.progress.notes,
        }

    def _gradients_taken(self) -> dict[str, Any]:
        """Return the number of updates, and the mean number of gradients that each took; nothing where not known."""
        # A checkpoint of an earlier version counted none.
        progress, steps = self.progress, self.feed.steps(len(self.samples)) * self.progress.epoch
        if progress.updates != steps:
            return {}
        return {"updates": steps, "gradient_evaluations": round(progress.evaluations / steps, 3)}

    def _latency_ms(self) -> float:
        """Measure the latency of one case, from prepared pixels to its answer."""
        training = training_of(self.job)
        return latency_ms(lambda: training.answer_one(self.learner, self.validation, self.job))

    def _refuse_batch_dependence(self) -> None:
        """Raise BatchDependenceError for a trained network that looks across the batch, as a rehearsal may not show."""
        # Outside of the measurement of memory, and once: by validation cases, as many at once as in prediction.
        batch = next(self.feed.epoch(self.validation, generator(self.job.stream, "batch independence")))
        refuse_dependence(self.learner, batch.to(self.device).images, compiled=self.job.training.compile is True)

    def _waited_enough(self) -> bool:
        """Whether early stopping applies: `patience` epochs since the best one, before the end of the budget."""
        patience, progress = self.job.training.patience, self.progress
        if patience is None or progress.epoch == self.job.training.epochs:
            return False
        return progress.epoch - (progress.chosen_epoch or 0) >= patience

    def _epoch_or_retry(self, memory: PeakMemory) -> None:
        """Run one epoch; after a non-finite loss, retry once from the last checkpoint with other random draws."""
        start, used = time.perf_counter(), time.process_time()
        try:
            row = self._epoch()
        except NotFiniteError as error:
            if self.progress.attempt + 1 == ATTEMPTS:
                raise DivergedError(
                    f"the loss was not finite in epoch {self.progress.epoch + 1}, {ATTEMPTS} times, "
                    f"last on the batch of cases {error}"
                ) from error
            attempt, seconds = self.progress.attempt + 1, self.progress.seconds + time.perf_counter() - start
            processor = self.progress.processor_seconds + time.process_time() - used
            # Built anew: before the first checkpoint, `_resume` has no state from which to restore the initial weights.
            self.learner = build_learner(self.job, self.device, self.samples, self.ranks)
            self.progress = Progress()
            self._resume()
            self.progress = replace(self.progress, attempt=attempt, seconds=seconds, processor_seconds=processor)
            return
        progress = self.progress
        progress.seconds += time.perf_counter() - start
        progress.processor_seconds += time.process_time() - used
        progress.peak_memory_mb = max(progress.peak_memory_mb, memory.peak_mb)
        progress.history.append(row | {"seconds": round(progress.seconds, 3)})
        progress.epoch += 1
        # Saved after every epoch, before the next begins: a kill costs one epoch at most.
        self._save()

    def _epoch(self) -> dict[str, float]:
        learner, progress = self.learner, self.progress
        rate = float(learner.optimizer.param_groups[0]["lr"])
        seen = Observation(progress.epoch, self.feed.steps(len(self.samples)))
        loss = train_epoch(learner, self.samples, self.feed, self.augmentation, self._stream, seen)
        progress.rates += seen.rates
        progress.updates, progress.evaluations = (
            progress.updates + seen.updates,
            progress.evaluations + seen.evaluations,
        )
        if learner.average is not None:
            learner.average.end_epoch(learner.model, progress.epoch)
        with evaluation_weights(learner, self.samples, self.feed):
            validation_loss, metric = training_of(self.job).validate(learner, self.validation, self.job)
            row = {"epoch": progress.epoch + 1, "train_loss": loss, "validation_loss": validation_loss}
            row |= {f"validation_{self.job.primary}": metric, "learning_rate": rate}
            row |= {"gradient_norm": seen.mean_norm}
            if self._is_best(row):
                progress.chosen_epoch = progress.epoch + 1
                weights = learner.model.state_dict()
                progress.chosen_weights = {
                    name: value.detach().cpu().contiguous().clone() for name, value in weights.items()
                }
        after_validation(learner.schedule, validation_loss)
        return row

    def _is_best(self, row: dict[str, float]) -> bool:
        """Whether this epoch's validation value is better than all before; of equals, the earlier epoch stays."""
        key = "validation_loss" if self.job.training.select == "loss" else f"validation_{self.job.primary}"
        sign = -1 if self.job.training.select == "primary" and endpoint_of(self.job).higher_is_better else 1
        if not math.isfinite(row[key]):
            return False
        before = [sign * old[key] for old in self.progress.history if math.isfinite(old[key])]
        return sign * row[key] < min(before, default=math.inf)

    def _refuse_divergence(self) -> None:
        """Refuse finite losses far above those of guesses without the image; keep a note of a high validation loss."""
        task, progress = training_of(self.job), self.progress
        prior = task.useless_loss(self.job, self.samples, self.validation)
        on_training = task.useless_loss(self.job, self.samples, self.samples)
        start = guessing_loss(on_training, len(self.job.classes), self.job.training.loss)
        note = refuse_divergence(progress.history, progress.chosen_epoch, prior, start)
        if note is not None:
            progress.notes.append(note)

    def _save(self) -> None:
        if self.writer is None:
            return
        state = {
            "of": of_job(self.job, self.run_hash),
            "progress": vars(self.progress),
            "model": dict(self.learner.model.state_dict()),
            "optimizer": self.learner.optimizer.state_dict(),
            "schedule": self.learner.schedule.state_dict(),
        }
        if self.learner.average is not None:
            state["average"] = self.learner.average.state_dict()
        checkpoint.save(self.job.folder / CHECKPOINT, self.progress.epoch, state, self.writer.write)
        self._write_history()

    def _write_history(self) -> None:
        if self.writer is not None:
            self.epochs.remember(self.progress.history)
        for name, rows in ((HISTORY, self.progress.history), (RATES, self.progress.rates)):
            if rows and self.writer is not None:
                write_rows(self.job.folder / name, rows, self.writer.write)

    def _note(self, damaged: list[str]) -> None:
        """Keep, with the state itself, what a reader must know of this training: damage, and changes of environment."""
        progress, learner = self.progress, self.learner
        now = environment(self.job.training.threads) | packages_of(self.job, learner.model, learner.optimizer)
        if damaged:
            epochs = "the beginning" if progress.epoch == 0 else f"epoch {progress.epoch}"
            progress.notes.append(
                f"the newest checkpoint was damaged ({', '.join(damaged)}), so training went on from {epochs}"
            )
        changes = ", ".join(environment_changes(progress.environments[-1], now)) if progress.environments else ""
        if changes:
            progress.notes.append(f"training went on in another environment after epoch {progress.epoch}: {changes}")
        if not progress.environments or progress.environments[-1] != now:
            progress.environments.append(now)

    def _resume(self) -> None:
        state, damaged = checkpoint.load_undamaged(self.job.folder / CHECKPOINT)
        if state is None:
            self._note(damaged)
            return
        refuse_foreign(self.job, state, self.run_hash)
        self.progress = Progress(**state["progress"])
        self._note(damaged)
        self.learner.model.load_state_dict(state["model"])
        load_optimizer(self.learner.optimizer, state["optimizer"])
        self.learner.schedule.load_state_dict(state["schedule"])
        if self.learner.average is not None:
            self.learner.average.load_state_dict(state["average"])
        self._write_history()


def build_learner(job: Job, device: torch.device, samples: Samples, ranks: Ranks = ALONE) -> Learner:
    """Build the job's initial model, optimizer, loss and schedule; weights depend on the job's stream alone.

    Of an ensemble, the learner that answers for all members together; it trains nothing.
    """
    if job.members:
        members = [build_learner(member, device, samples, ranks) for member in job.members]
        networks, layouts = [one.model for one in members], [one.layout for one in members]
        together = Ensemble(networks, job.training.targets == "regions", layouts).to(device)
        return replace(members[0], model=together, layout=torch.contiguous_format, average=None)
    with seeded(job.stream, "weights"):
        model = ranks.synchronise(build_model(job).to(device))
    training = job.training
    layout = layout_of(job.spatial_dims, device, built_in=":" not in job.arm.model.name)
    move: Any = model.to  # its types know no memory format of volumes
    model = move(memory_format=layout)
    # Before "auto" is resolved, when an arm is only tried, it is tried in float32.
    routes = job.routes.get("bfloat16" if training.precision == "bfloat16" else "float32", ())
    apply_routes(model, routes, layout)
    if training.gradient_checkpointing:
        recompute_blocks(model, job.arm.model.name)
    if training.compile is True and ("", NOT_COMPILED) not in routes:
        # One kernel per shape: a resumed job meets the shapes in another order, and must use the same kernels.
        model.compile(dynamic=False)
    optimizer = build_optimizer(job, model)
    steps = training.epochs * Feed.of(training, job.spatial_dims).steps(len(samples))
    weight = _class_weights(job, samples)
    return Learner(
        model,
        optimizer,
        loss_of(job, None if weight is None else weight.to(device)),
        loss_of(job),
        schedule(training.schedule.name, optimizer, steps, **training.schedule.settings),
        device,
        torch.bfloat16 if training.precision == "bfloat16" else torch.float32,
        training.clip_norm,
        layout,
        mixup=None if training.mixup is None else Mixup(training.mixup, len(job.classes)),
        frozen_norm_layers=frozen_norm_layers(model),
        ranks=ranks,
        average=_average(job, model, optimizer),
    )


def _average(job: Job, model: nn.Module, optimizer: Optimizer) -> WeightAverage | EpochAverage | None:
    """Return the average of the weights that the protocol asks for; None where it asks for none."""
    training = job.training
    if training.ema is None and training.average_last is None:
        return None
    if needs_batchnorm_recalibration(optimizer):
        key = "ema" if training.ema is not None else "average_last"
        raise ProtocolError(
            f"training.{key} averages the weights, and so does the optimizer {job.arm.optimizer.name!r}; leave one out"
        )
    if training.ema is not None:
        return WeightAverage(model, training.ema)
    return EpochAverage(model, training.epochs - (training.average_last or 0))


def loss_of(job: Job, weight: Tensor | None = None) -> Loss:
    """Return the loss that the protocol names, over classes or over regions; or a task's own loss."""
    if ":" in job.training.loss:
        own: Loss = imported(job.training.loss, "loss", job.code)
        return own
    if job.training.targets != "regions":
        loss = build(job.training.loss, weight, settings=job.training.dice)
    else:
        table = torch.from_numpy(membership(len(job.classes), job.regions))
        loss = by_region(build(job.training.loss, overlapping=True, settings=job.training.dice), table)
    return without_ignored(loss) if job.ignores else loss


def _class_weights(job: Job, samples: Samples) -> Tensor | None:
    """Return one factor per class that balances the training cases; None where the protocol sets no weights."""
    if job.training.class_weights == "none":
        return None
    counts = torch.zeros(len(job.classes), dtype=torch.int64)
    for index in range(len(samples)):
        target = torch.from_numpy(np.array(samples.targets[index]))
        hard = target.argmax(0) if target.is_floating_point() else target.long()
        counts += torch.bincount(hard[hard != IGNORED].flatten(), minlength=len(counts))
    return balanced_weights(counts)
