"""A trained classifier's answer for whole cases, of mirrored copies too where the protocol asks for them."""

import numpy as np
import torch
from torch import Tensor

from equipoise.runfolder.job import Job
from equipoise.training.data.batches import batches, whole
from equipoise.training.data.samples import Samples
from equipoise.training.inference.sliding_window import mirrored
from equipoise.training.loop.epoch import Learner


def classify(learner: Learner, samples: Samples, job: Job) -> Tensor:
    """Logits of all samples in their order, (n, classes) float32 on the CPU, the model in evaluation mode."""
    learner.model.eval()
    answer = mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))
    with torch.inference_mode():
        parts = [
            learner.ranks.answered(answer, whole(samples, indices).to(learner.device).images).cpu()
            for indices in batches(len(samples), job.training.batch_size)
        ]
    return torch.cat(parts)


def classify_one(learner: Learner, samples: Samples, job: Job) -> Tensor:
    """Logits of the first sample alone, as one case is answered in use; the model must be in evaluation mode."""
    answer = mirrored(learner.logits, job.inference.mirror_axes(job.spatial_dims))
    return answer(whole(samples, np.array([0])).to(learner.device).images)
