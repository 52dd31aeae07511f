"""A network with weights and activations of 8 bits, calibrated on training images alone, as an ONNX file."""

import contextlib
import importlib
import io
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from equipoise.deploy.contract import Contract
from equipoise.deploy.onnx_file import strip
from equipoise.deploy.runtimes import INPUT
from equipoise.deploy.windows import Floats
from equipoise.errors import EquipoiseError

MOST_IMAGES = 300
EXTRA = 'pip install "equipoise[quantize]"'


def integer_bytes(network: bytes, images: Sequence[Floats], contract: Contract) -> bytes:
    """Return an ONNX file as one of 8-bit integers (quantize and dequantize around its convolutions).

    images: prepared training images (channel, *spatial), of which at most `MOST_IMAGES` calibrate, one window each.
    Raises EquipoiseError where the libraries are not installed or cannot do it.
    """
    # Without these the library reports to its makers over the network, where it finds one.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    os.environ["NNCF_CI"] = "1"
    try:
        library: Any = importlib.import_module("nncf")
        onnx: Any = importlib.import_module("onnx")
    except ImportError as error:
        raise EquipoiseError(f"8-bit integers need NNCF ({error}); install it with {EXTRA}") from error
    logging.getLogger("nncf").setLevel(logging.ERROR)
    batches = [window[None] for window in windows(images[:MOST_IMAGES], contract)]
    # Sums of products of 8 bits saturate on processors without VNNI; the library then keeps a bit in reserve.
    fix = library.OverflowFix.DISABLE if _has_vnni() else library.OverflowFix.ENABLE
    settings = library.AdvancedQuantizationParameters(overflow_fix=fix)
    dataset = library.Dataset(batches, lambda batch: {INPUT: batch})
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            quantized = library.quantize(
                onnx.load_from_string(network), dataset, subset_size=len(batches), advanced_parameters=settings
            )
    # The library raises classes of its own and of what it builds on.
    except Exception as error:
        lines = [line.strip() for line in str(error).split("\n") if line.strip()]
        raise EquipoiseError(
            f"the network cannot be quantized to 8-bit integers ({type(error).__name__}: "
            f"{lines[0][:200] if lines else ''}); leave openvino-int8 out of --runtimes"
        ) from error
    strip(quantized)
    return bytes(quantized.SerializeToString(deterministic=True))


def windows(images: Sequence[Floats], contract: Contract) -> Iterator[Floats]:
    """Yield what the network is given of each image: the whole, or one window at a place drawn from its number."""
    side = contract.window.network_sides
    for number, image in enumerate(images):
        if side is None:
            yield np.ascontiguousarray(image)
            continue
        draw = np.random.default_rng([7, number])
        short = [max(0, want - have) for want, have in zip(side, image.shape[1:], strict=True)]
        padded = np.pad(image, [(0, 0), *((0, missing) for missing in short)])
        starts = [draw.integers(0, have - want + 1) for want, have in zip(side, padded.shape[1:], strict=True)]
        cut = tuple(slice(start, start + want) for start, want in zip(starts, side, strict=True))
        yield np.ascontiguousarray(padded[(slice(None), *cut)])


def _has_vnni() -> bool:
    """Tell whether this processor adds products of 8 bits in 32; unknown counts as not."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
