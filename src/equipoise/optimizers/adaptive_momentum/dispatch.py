"""Choose one of the equivalent paths for a step, and record the choice."""

from collections import Counter

from equipoise.errors import EquipoiseError
from equipoise.optimizers.adaptive_momentum.compiled import can_step, step_compiled, works
from equipoise.optimizers.adaptive_momentum.foreach import step_foreach
from equipoise.optimizers.adaptive_momentum.reference_step import step_loop
from equipoise.optimizers.adaptive_momentum.step_inputs import Batch

PATHS = ("auto", "compiled", "foreach", "loop")


def check_path(path: str) -> None:
    """Refuse an unknown path by name.

    Raises:
        EquipoiseError: for an unknown path, with the list of paths.
    """
    if path not in PATHS:
        raise EquipoiseError(f"path={path!r} is unknown; choose one of {', '.join(PATHS)}.")


def take_step(batch: Batch, path: str) -> Counter[str]:
    """Advance a batch by one step, in place; return the number of tensors per path.

    "auto" uses the kernel where possible (float32 on the CPU, with a C compiler), torch's multi-tensor operations on
    accelerators, and the loop for the rest. "compiled" fails without a compiler; tensors that its kernel does not
    support (other dtypes, leaks, gaps in memory) go to the loop.
    """
    # An explicit "compiled" never falls back silently without a compiler: a benchmark would time another path.
    if path == "foreach" or (path == "auto" and batch.thetas and batch.thetas[0].device.type != "cpu"):
        step_foreach(batch)
        return Counter(foreach=len(batch.thetas))
    taken: Counter[str] = Counter()
    if path != "loop" and can_step(batch) and (path == "compiled" or works()):
        n_tensors = len(batch.thetas)
        batch = step_compiled(batch)
        taken["compiled"] = n_tensors - len(batch.thetas)
    if batch.thetas:
        step_loop(batch)
        taken["loop"] = len(batch.thetas)
    return taken
