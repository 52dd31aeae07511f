"""Clinical trials between deep-learning models on medical images.

`check(protocol)` tells what a trial can show; `run(protocol, out)` and `audit(predictions, ...)` are the two ways to a
verdict, which `results(folder)` reads again; `load(run)` and `Bundle(path)` are the two ways from a verdict to answers
on new images. Names are imported when first used, so that `import equipoise` costs
little.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from equipoise import _moved

if TYPE_CHECKING:
    from equipoise.api import audit, check, results, run
    from equipoise.cohorts import Case, Cohort
    from equipoise.deploy.loaded import load
    from equipoise.deploy.predictor import Bundle
    from equipoise.protocol import Protocol
    from equipoise.report.handle import Results

__version__ = "0.1.0"

_PLACES = {
    "Bundle": "equipoise.deploy.predictor",
    "load": "equipoise.deploy.loaded",
    "audit": "equipoise.api",
    "check": "equipoise.api",
    "results": "equipoise.api",
    "run": "equipoise.api",
    "Results": "equipoise.report.handle",
    "Protocol": "equipoise.protocol",
    "Cohort": "equipoise.cohorts",
    "Case": "equipoise.cohorts",
}
_ROOMS = (
    "tasks",
    "deploy",
    "cohorts",
    "preprocessing",
    "models",
    "optimizers",
    "training",
    "evaluation",
    "statistics",
    "report",
    "runfolder",
    "testing",
    "trials",
)

__all__ = [
    "Bundle",
    "Case",
    "Cohort",
    "Protocol",
    "Results",
    "__version__",
    "audit",
    "check",
    "load",
    "results",
    "run",
]

_moved.install()


def __getattr__(name: str) -> Any:
    """A public name or a room, imported now."""
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _ROOMS:
        return import_module(f"equipoise.{name}")
    raise AttributeError(f"module 'equipoise' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names and rooms, for completion."""
    return sorted({*__all__, *_ROOMS})
