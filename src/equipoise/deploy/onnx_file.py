"""A trained network as an ONNX file that tells nothing of where it was made."""

import logging
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from equipoise.deploy.onnx_means import average_in_steps
from equipoise.deploy.runtimes import INPUT, OUTPUT
from equipoise.errors import EquipoiseError

OPSET = 20
EXTRA = 'pip install "equipoise[export]"'


class _OneOutput(nn.Module):
    """The network's first output in float32, as the trial reads it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Map images (n, channel, *spatial) to the logits (n, output, …), in float32."""
        outputs: Any = self.model(image)
        first: Tensor = outputs if isinstance(outputs, Tensor) else outputs[0]
        return first.float()


def onnx_bytes(model: nn.Module, channels: int, sides: tuple[int, ...], *, dynamic: bool) -> bytes:
    """Return the network as ONNX with any number of images in a batch.

    model: on the CPU, in evaluation mode. sides: of the image it is traced with, which is blank. dynamic: let the sides
    vary. Raises EquipoiseError with the exporter's reason where it cannot be traced.
    """
    _require()
    free = torch.export.Dim.DYNAMIC
    shape: dict[int, Any] = {0: free} | ({2 + axis: free for axis in range(len(sides))} if dynamic else {})
    # Two images: an exporter takes a size of one for a constant. Zeros: a file of torch.export would keep the example.
    example = torch.zeros(2, channels, *sides)
    with _quiet_exporter():
        try:
            program = torch.onnx.export(
                _OneOutput(model).eval(),
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=(shape,),
                external_data=False,
                verbose=False,
            )
        # The exporter runs the user's code and raises classes of its own.
        except Exception as error:
            lines = [line.strip() for line in str(error).split("\n") if line.strip()]
            raise EquipoiseError(
                f"the network cannot be exported to ONNX ({type(error).__name__}: {lines[0][:200] if lines else ''}); "
                "its forward pass must not depend on the values of an image"
            ) from error
    if program is None:
        raise EquipoiseError("the network cannot be exported to ONNX; use a version of torch that the project supports")
    content = program.model_proto
    strip(content)
    average_in_steps(content, sides)
    _refuse_foreign(content)
    return bytes(content.SerializeToString(deterministic=True))


@contextmanager
def _quiet_exporter() -> Iterator[None]:
    """Within it, the exporter warns of nothing: its failures are errors, and it logs what no network here uses."""
    # It logs four lines on operators of torchvision that are not installed, which users took for their own lack.
    logger = logging.getLogger("torch.onnx._internal.exporter")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _require() -> None:
    for name in ("onnx", "onnxscript"):
        try:
            __import__(name)
        except ImportError as error:
            raise EquipoiseError(f"exporting needs {name}; install it with {EXTRA}") from error


def strip(model: Any) -> None:
    """Remove stack traces, notes and names of files from a model in place: exporters write hundreds of paths."""
    for part in (model, model.graph, *model.functions):
        _clear(part)
    _strip_graph(model.graph)
    for function in model.functions:
        _strip_nodes(function.node)


def _strip_graph(graph: Any) -> None:
    _clear(graph)
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        _clear(value)
    _strip_nodes(graph.node)


def _strip_nodes(nodes: Iterable[Any]) -> None:
    for node in nodes:
        _clear(node)
        for attribute in node.attribute:
            attribute.doc_string = ""
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                _strip_graph(graph)


def _clear(part: Any) -> None:
    part.doc_string = ""
    del part.metadata_props[:]


def _refuse_foreign(model: Any) -> None:
    """Refuse operators that a plain runtime lacks, and weights kept outside the file."""
    domains = sorted({entry.domain for entry in model.opset_import} - {"", "ai.onnx"})
    if domains or len(model.functions):
        raise EquipoiseError(
            f"the exported network has operators of {', '.join(domains) or 'its own'}, which runtimes lack; use torch's"
        )
    if any(tensor.data_location == tensor.EXTERNAL for tensor in model.graph.initializer):
        raise EquipoiseError("the exported network keeps weights outside its file; export a network below 2 GB")
