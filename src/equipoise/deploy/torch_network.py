"""A bundle's network in torch, rebuilt from the name of a built-in network, its settings and the weights."""

import inspect

import torch
from safetensors.torch import load

from equipoise import models
from equipoise.deploy.bundle import WEIGHTS, BundleFiles
from equipoise.deploy.windows import Floats, Network
from equipoise.errors import EquipoiseError
from equipoise.lookup import resolve
from equipoise.models.adapter import in_order


def torch_network(bundle: BundleFiles) -> Network:
    """Return the network; EquipoiseError for a network of the user's own, whose code a bundle does not carry."""
    network, contract = bundle.record["network"], bundle.contract
    if ":" in network["name"]:
        raise EquipoiseError(
            f"the network {network['name']} is code of its author, which no bundle carries; use the runtime onnx"
        )
    factory = in_order(resolve(network["name"], models, "model"))
    given = {"task": network["task"]} if "task" in inspect.signature(factory).parameters else {}
    model = factory(
        len(contract.channels), contract.outputs, contract.spatial_dims, **(given | dict(network["settings"]))
    )
    try:
        model.load_state_dict(load(bundle.files[WEIGHTS]))
    except (RuntimeError, ValueError) as error:
        first = str(error).split("\n")[0]
        raise EquipoiseError(f"{WEIGHTS} does not fit the network {network['name']} ({first}); export again") from error
    model.eval()

    def answer(images: Floats) -> Floats:
        """Return the logits of a batch."""
        with torch.inference_mode():
            logits: Floats = model(torch.from_numpy(images)).float().numpy()
        return logits

    return answer
