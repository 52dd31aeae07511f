"""Answers of a network that nnU-Net trained, by nnU-Net's own predictor, on the grid of the prepared case."""

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file

from equipoise.errors import EquipoiseError
from equipoise.runfolder.job import Job
from equipoise.runfolder.paths import NNUNET_FACTS
from equipoise.training.data.samples import Samples
from equipoise.training.external.nnunet_process import base_class
from equipoise.training.external.raw_folder import as_volume
from equipoise.training.loop.determinism import device


def facts_of(job: Job) -> dict[str, Any]:
    """Return what nnU-Net chose for a job that has ended. Raises EquipoiseError where it is gone or damaged."""
    file = job.folder / NNUNET_FACTS
    try:
        facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EquipoiseError(
            f"{file} is not readable ({error}), and prediction needs it; restore it, or use a new run folder"
        ) from error
    return facts


class Answers:
    """The network of a job that has ended, with nnU-Net's predictor as it comes: mirroring, half-overlapping windows.

    It is made from weights and facts that are plain data: no checkpoint of nnU-Net, which holds Python objects, is
    opened.
    """

    def __init__(self, job: Job) -> None:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        facts = facts_of(job)
        plans = PlansManager(facts["plans"])
        configuration = plans.get_configuration(facts["configuration"])
        labels = plans.get_label_manager(facts["dataset"])
        trainer = base_class({"trainer": facts["trainer"], "code": str(job.code)})
        channels = determine_num_input_channels(plans, configuration, facts["dataset"])
        network = trainer.build_network_architecture(
            plans, configuration, channels, labels.num_segmentation_heads, enable_deep_supervision=False
        )
        weights = load_file(job.weights_file)
        weights |= {name: weights[first] for name, first in facts["same"].items()}
        network.load_state_dict(weights)
        axes = facts["mirroring_axes"]
        self.flat = job.spatial_dims == 2
        self.predictor: Any = nnUNetPredictor(device=device(), allow_tqdm=False)
        self.predictor.manual_initialization(
            network.to(device()).eval(),
            plans,
            configuration,
            [weights],
            facts["dataset"],
            facts["trainer"],
            None if axes is None else tuple(axes),
        )

    def of(self, samples: Samples, index: int, blank: int | None = None) -> NDArray[np.float32]:
        """Return the probabilities (classes, *prepared grid) of one case; blank: a channel that is set to zero."""
        image = np.array(samples.images[index], dtype=np.float32)
        if blank is not None:
            image[blank] = 0.0
        volume, spacing = as_volume(image, samples.grids[index].prepared_spacing_mm)
        _, probability = self.predictor.predict_single_npy_array(
            volume, {"spacing": list(spacing)}, None, None, save_or_return_probabilities=True
        )
        answer = np.asarray(probability, dtype=np.float32)
        return answer[:, 0] if self.flat else answer
