"""Answer a few cases with an untrained network, so that all that is made of answers can be tried before a trial."""

from equipoise.errors import ProtocolError
from equipoise.evaluation.predictions import Predictions
from equipoise.runfolder.job import Job
from equipoise.training.data.samples import Samples
from equipoise.training.loop.blame import named_arm
from equipoise.training.loop.determinism import device, reproducible
from equipoise.training.loop.train import build_learner
from equipoise.training.tasks import Planes, training_of

ANSWERED = {2: 8, 3: 1}
"""Number of cases by spatial dimensions: a single volume takes many patches."""


def stand_ins(arguments: tuple[Job, Samples]) -> tuple[Predictions, Planes]:
    """Return the rows and pictures that the job's network, untrained, gives for the first of some prepared cases.

    Raises ProtocolError, naming the arm, where it cannot answer them, or its answers cannot be judged.
    """
    job, samples = arguments
    few = samples.head(min(ANSWERED[job.spatial_dims], len(samples)))
    cannot = "cannot answer these images in evaluation, or its answers cannot be judged"
    with named_arm(job.arm.name, cannot, "correct its model, or the endpoint"):
        with reproducible(job.training.threads):
            table, planes = training_of(job).predict(build_learner(job, device(), few), few, job, "test")
        if table.scores.shape[1] != len(table.classes):
            raise ProtocolError(
                f"its model answers with {table.scores.shape[1]} scores in evaluation, {len(table.classes)} in training"
            )
    return table, planes
