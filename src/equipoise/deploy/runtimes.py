"""Runtimes: what answers for the network of a bundle; ONNX Runtime by default, torch or OpenVINO where it is there."""

import importlib
import os
from typing import Any

import numpy as np

from equipoise.deploy.bundle import INTEGERS, NETWORK, BundleFiles
from equipoise.deploy.openvino_network import INT8, PRECISIONS, openvino_network
from equipoise.deploy.windows import Floats, Network
from equipoise.errors import EquipoiseError
from equipoise.lookup import nearest

RUNTIMES = ("onnx", "torch", *PRECISIONS)
INPUT, OUTPUT = "image", "logits"


def network_of(bundle: BundleFiles, runtime: str = "onnx", threads: int | None = None) -> Network:
    """Return the bundle's network in a runtime; threads: of the processor (None: as the environment says, else one).

    Raises EquipoiseError for an unknown runtime, one that is not installed, or a file that it refuses.
    """
    if runtime not in RUNTIMES:
        raise EquipoiseError(f"the runtime {runtime!r} is unknown; {nearest(runtime, RUNTIMES)}")
    if runtime == "torch":
        # By name: this module must be importable where torch is not installed.
        try:
            module: Any = importlib.import_module("equipoise.deploy.torch_network")
        except ImportError as error:
            raise EquipoiseError(
                f"the runtime torch needs torch ({error}); install it, or use --runtime onnx"
            ) from error
        network: Network = module.torch_network(bundle)
        return network
    if runtime in PRECISIONS:
        content = bundle.files.get(INTEGERS if runtime == INT8 else NETWORK)
        if content is None:
            raise EquipoiseError(f"this bundle has no 8-bit network; export the arm again with --runtimes {INT8}")
        return openvino_network(content, runtime, threads or threads_of())
    return onnx_network(bundle.files[NETWORK], threads)


def threads_of() -> int:
    """Return the number of threads that OMP_NUM_THREADS asks for; one where it says nothing that is a number."""
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return max(1, int(first)) if first.isdecimal() else 1


def onnx_network(content: bytes, threads: int | None = None) -> Network:
    """Return an ONNX file as a network, answered by ONNX Runtime on the processor."""
    try:
        onnxruntime: Any = importlib.import_module("onnxruntime")
    except ImportError as error:
        raise EquipoiseError(
            'ONNX Runtime is not installed; install it with pip install "equipoise[predict]"'
        ) from error
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or threads_of()
    # From bytes, never from the path: a file could otherwise name others beside it as parts of its weights.
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    # Its errors are classes of a compiled module that differ between versions.
    except Exception as error:
        first = str(error).split("\n")[0][:200]
        raise EquipoiseError(f"ONNX Runtime refuses {NETWORK} ({first}); export the arm again") from error

    def answer(images: Floats) -> Floats:
        """Return the logits of a batch."""
        try:
            (logits,) = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images, dtype=np.float32)})
        except Exception as error:
            first = str(error).split("\n")[0][:200]
            raise EquipoiseError(
                f"the network cannot process the shape {images.shape[1:]} ({first}); give the image the size of the "
                "trial's images"
            ) from error
        return np.asarray(logits, dtype=np.float32)

    return answer
