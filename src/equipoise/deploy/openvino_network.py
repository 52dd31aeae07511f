"""A bundle's network in OpenVINO: float32, bfloat16, or the file of 8-bit integers that its export made."""

import importlib
import sys
from typing import Any

import numpy as np

from equipoise.deploy.windows import Floats, Network
from equipoise.errors import EquipoiseError

FLOAT32, BFLOAT16, INT8 = "openvino", "openvino-bf16", "openvino-int8"
PRECISIONS = {FLOAT32: "f32", BFLOAT16: "bf16", INT8: "f32"}
"""What is not in integers is computed in this precision."""


def openvino_network(content: bytes, runtime: str, threads: int) -> Network:
    """Return an ONNX file as a network, answered by OpenVINO on the processor; runtime: one of `PRECISIONS`.

    Raises EquipoiseError where OpenVINO is not installed or refuses the file.
    """
    # OpenVINO's package reports to its makers where this one is installed beside it, and writes into the user's home as
    # soon as it is imported; without it, it does neither.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        library: Any = importlib.import_module("openvino")
    except ImportError as error:
        raise EquipoiseError(
            'OpenVINO is not installed; install it with pip install "equipoise[openvino]", or use --runtime onnx'
        ) from error
    hints = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[runtime],
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
    }
    try:
        core = library.Core()
        compiled = core.compile_model(core.read_model(content), "CPU", hints)
    # Its errors are classes of a compiled module that differ between versions.
    except Exception as error:
        first = str(error).strip().split("\n")[-1][:200]
        raise EquipoiseError(f"OpenVINO refuses the network ({first}); use --runtime onnx") from error

    def answer(images: Floats) -> Floats:
        """Return the logits of a batch."""
        try:
            (logits,) = compiled([np.ascontiguousarray(images, dtype=np.float32)]).values()
        except Exception as error:
            first = str(error).strip().split("\n")[-1][:200]
            raise EquipoiseError(
                f"the network cannot process the shape {images.shape[1:]} ({first}); give the image the size of the "
                "trial's images"
            ) from error
        # A copy: the library keeps the array for its next answer.
        return np.array(logits, dtype=np.float32)

    return answer
