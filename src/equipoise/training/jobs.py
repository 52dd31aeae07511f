"""What worker processes are asked to do with a job, whatever its arm is: a network, nnU-Net, an ensemble."""

from pathlib import Path
from typing import Any

from equipoise.evaluation.predictions import Predictions
from equipoise.own_modules import late_hashes
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.external import nnunet, nnunet_trial
from equipoise.training.inference import inference
from equipoise.training.inference import stand_ins as untrained
from equipoise.training.loop import ensemble
from equipoise.training.loop import preflight as networks
from equipoise.training.loop.arm import import_shared_code
from equipoise.training.loop.ending import refuse_changed_code
from equipoise.training.loop.forecast import Forecast
from equipoise.training.loop.train import train as train_network
from equipoise.training.tasks import Planes


def train(job: Job) -> dict[str, Any]:
    """Train one job, or resume it, and return the contents of done.json; see `loop.ending.ended`."""
    import_shared_code(job)
    if job.members:
        return ensemble.assemble(job)
    return train_network(job) if job.arm.nnunet is None else nnunet.train(job)


def predict(job: Job) -> Path:
    """Write the predictions of a job; see `inference.inference.written`."""
    import_shared_code(job)
    refuse_changed_code(job)
    file = inference.predict_job(job) if job.arm.nnunet is None else nnunet_trial.predict(job)
    refuse_changed_code(job)
    return file


def preflight(first: tuple[list[Job], Samples]) -> dict[str, Any]:
    """Try the first job of every arm on some prepared cases; see `loop.preflight.preflight`."""
    jobs, samples = first
    own = [job for job in jobs if job.arm.nnunet is None]
    for job in jobs:
        import_shared_code(job)
    for job in jobs:
        if job.arm.nnunet is not None:
            nnunet_trial.preflight(job, samples)
    facts = networks.preflight((own, samples)) if own else networks.facts_of(jobs)
    packages = nnunet.versions() if len(own) < len(jobs) else {}
    facts |= {"code": networks.facts_of(jobs)["code"], "packages": {**facts.get("packages", {}), **packages}}
    # Of what the step has loaded by any means; the first process knows what import statements name.
    return facts | {"modules": late_hashes({}, jobs[0].code)}


def stand_ins(arguments: tuple[Job, Samples]) -> tuple[Predictions, Planes]:
    """Answer a few cases with the job's untrained network; see `inference.stand_ins.stand_ins`."""
    import_shared_code(arguments[0])
    return untrained.stand_ins(arguments)


def forecast(arguments: tuple[Job, Samples, int, int]) -> Forecast:
    """Estimate the time of one job, and measure the memory that it reached; see `loop.preflight.forecast`."""
    job = arguments[0]
    import_shared_code(job)
    return networks.forecast(arguments) if job.arm.nnunet is None else nnunet_trial.forecast(job, arguments[1])
