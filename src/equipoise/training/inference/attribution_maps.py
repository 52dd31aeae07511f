"""Write attribution maps of a report's example cases into the run folder, with the results of their checks."""

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from equipoise.atomic_write import write_json
from equipoise.evaluation.display_planes import grey
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import ATTRIBUTION_MAPS, ATTRIBUTIONS, run_of
from equipoise.runfolder.write import write_planes
from equipoise.training.data.batches import whole
from equipoise.training.data.samples import Samples
from equipoise.training.inference.attribution import attribute
from equipoise.training.loop.arm import import_shared_code
from equipoise.training.loop.determinism import device, generator, reproducible
from equipoise.training.loop.train import build_learner
from equipoise.training.loop.written_errors import in_writing
from equipoise.training.tasks.classification import classify

FOR_RGB = (230.0, 159.0, 0.0)
AGAINST_RGB = (86.0, 180.0, 233.0)
STRONGEST = 99.0
"""Percentile of a map's absolute values drawn in full colour; with the maximum, a few extremes would grey the rest."""


def explain(arguments: tuple[Job, Samples]) -> None:
    """Write attributions.npz (case → RGB picture) and attributions.json (checks) into the run folder of a job.

    arguments: the job and its samples. Each map explains the class that the job's network predicts. If attribution
    fails, attributions.json holds the reason.
    """
    job, samples = arguments
    out = run_of(job.folder)
    import_shared_code(job)
    with reproducible(job.training.threads):
        learner = build_learner(job, device(), samples)
        learner.model.load_state_dict(load_file(job.weights_file))
        called = classify(learner, samples, job).argmax(1)
        images = whole(samples, np.arange(len(samples))).to(learner.device).images
        # Gradients with respect to pixels may need a kernel that has no deterministic form.
        torch.use_deterministic_algorithms(False)
        try:
            attribution = attribute(learner.model, images, called.to(learner.device), generator(job.name, "explain"))
        # Any exception: the maps are an addition, and a user's own model must not cost the finished trial its report.
        except Exception as error:
            write_json(out / ATTRIBUTIONS, {"arm": job.arm.name, "failed": in_writing(error, job)})
            return
    pictures = {case: overlaid(images[k, 0].cpu().numpy(), attribution.maps[k]) for k, case in enumerate(samples.cases)}
    write_planes(out / ATTRIBUTION_MAPS, pictures)
    checks = {"likeness": float(np.median(attribution.likeness)), "gap": float(np.median(attribution.gap))}
    write_json(
        out / ATTRIBUTIONS,
        {"arm": job.arm.name, "seed": job.seed, "depends_on_weights": attribution.depends_on_weights, **checks},
    )


def overlaid(image: NDArray[np.float32], attribution: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Overlay the map on a plane of the image, (h, w, 3): orange raises the class's logit, blue lowers it.

    Of a volume, the plane with the largest sum of absolute attributions is shown.
    """
    if attribution.ndim == 3:
        at = int(np.abs(attribution).sum(axis=(1, 2)).argmax())
        image, attribution = image[at], attribution[at]
    size = np.abs(attribution)
    share = np.clip(size / max(float(np.percentile(size, STRONGEST)), 1e-12), 0, 1)[..., None]
    colour = np.where(attribution[..., None] > 0, FOR_RGB, AGAINST_RGB)
    mixed = (1 - share) * grey(image)[..., None] + share * colour
    return np.asarray(np.round(mixed), dtype=np.uint8)
