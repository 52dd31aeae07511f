"""A finished run from Python: `load(run).arm("unet").predict(image)`, with the trained network itself."""

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load as load_weights

from equipoise.deploy.export import training_images
from equipoise.deploy.file_reading import count_unplaced
from equipoise.deploy.limits import limits_of
from equipoise.deploy.predictor import Predictor
from equipoise.deploy.proof import is_oriented
from equipoise.deploy.trained import TrainedJob, contract_of, trained_job, weights_of
from equipoise.deploy.windows import Floats
from equipoise.report.handle import Results, load_results
from equipoise.runfolder.read import RunFolder, read_folder
from equipoise.training.loop.arm import build_model


class LoadedRun:
    """A run folder whose arms can answer images; nothing is proven here, as `equipoise export` does."""

    def __init__(self, folder: RunFolder, protocol: str | Path | None = None) -> None:
        self.folder, self.protocol = folder, protocol

    @property
    def arms(self) -> list[str]:
        """The names of the arms."""
        return self.folder.arms()

    @property
    def results(self) -> Results:
        """What the run's report found."""
        return load_results(self.folder.path)

    def _repr_html_(self) -> str:
        """The results, for a notebook."""
        return self.results._repr_html_()

    def arm(self, name: str, job: str | None = None) -> "LoadedArm":
        """Return the training run of an arm with the median validation value, or the run named FOLD-SEED."""
        return LoadedArm(trained_job(self.folder.path, name, job, self.protocol, self.folder.trusted))


class LoadedArm(Predictor):
    """A training run as it was trained, on the processor in float32."""

    def __init__(self, trained: TrainedJob) -> None:
        model = build_model(trained.job)
        model.load_state_dict(load_weights(weights_of(trained)))
        model.eval()
        images = training_images(trained)
        contract = contract_of(trained, getattr(model, "smallest_side", None), is_oriented(images), None)

        def answer(batch: Floats) -> Floats:
            """Return the logits of a batch."""
            with torch.inference_mode():
                outputs = model(torch.from_numpy(np.ascontiguousarray(batch)))
                logits: Floats = (outputs if isinstance(outputs, torch.Tensor) else outputs[0]).float().numpy()
            return logits

        super().__init__(contract, answer, limits_of(images))
        self.trained = trained

    @cached_property
    def takes_unplaced(self) -> bool:
        """Whether files of the trial stated no orientation."""
        test = [self.trained.cohort.cases[index] for index in self.trained.parts["test"]]
        return count_unplaced(test, self.trained.protocol.cohort_path) > 0

    @property
    def job(self) -> str:
        """The training run, as arm/fold-seed."""
        return self.trained.job.name


def load(run: str | Path, protocol: str | Path | None = None, *, trust_code: bool = False) -> LoadedRun:
    """Load a finished run; its data are needed to rebuild an arm, and are looked for as `equipoise export` does.

    protocol: the protocol's file, where data and code no longer lie beside the run folder. trust_code: run code of the
    author's own that the folder names.
    """
    return LoadedRun(read_folder(Path(run), trust_code), protocol)
