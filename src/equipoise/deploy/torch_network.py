"""A bundle's network in torch, rebuilt from the name of a built-in network, its settings and the weights."""

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from safetensors.torch import load
from torch import nn

from equipoise import models
from equipoise.deploy.bundle import WEIGHTS, BundleFiles
from equipoise.deploy.contract import Contract
from equipoise.deploy.windows import Floats, Network
from equipoise.errors import EquipoiseError
from equipoise.lookup import resolve
from equipoise.models.adapter import in_order
from equipoise.models.ensemble import Ensemble
from equipoise.protocol.arm import ENSEMBLE


def torch_network(bundle: BundleFiles) -> Network:
    """Return the network; EquipoiseError for a network of the user's own, whose code a bundle does not carry."""
    network = bundle.record["network"]
    model = _built(network, bundle.contract)
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


def _built(network: Mapping[str, Any], contract: Contract) -> nn.Module:
    """Build a network from its record; an ensemble from those of its members."""
    if network["name"] == ENSEMBLE:
        members = [_built(member, contract) for member in network["settings"]["members"]]
        return Ensemble(members, contract.targets == "regions")
    if ":" in network["name"]:
        raise EquipoiseError(
            f"the network {network['name']} is custom code, which a bundle does not contain; use the runtime onnx"
        )
    factory = in_order(resolve(network["name"], models, "model"))
    given = {"task": network["task"]} if "task" in inspect.signature(factory).parameters else {}
    settings = given | dict(network["settings"])
    model: nn.Module = factory(len(contract.channels), contract.outputs, contract.spatial_dims, **settings)
    return model
