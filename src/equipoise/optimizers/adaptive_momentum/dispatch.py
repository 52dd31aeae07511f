"""Which of the equal paths takes a step, and the record of it."""

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
        EquipoiseError: naming the paths there are.
    """
    if path not in PATHS:
        raise EquipoiseError(f"path={path!r} is unknown; choose one of {', '.join(PATHS)}.")


def take_step(batch: Batch, path: str) -> Counter[str]:
    """Advance a batch by one step, in place; returns how many tensors each path took.

    "auto" compiles where it can (float32 on the CPU, with a C compiler), takes lists of tensors at once on
    accelerators, and loops over the rest. "compiled" fails without a compiler, and leaves to the loop what
    its kernel does not know: other dtypes, leaks, tensors with gaps in memory.
    """
    if path == "foreach" or (path == "auto" and batch.thetas and batch.thetas[0].device.type != "cpu"):
        step_foreach(batch)
        return Counter(foreach=len(batch.thetas))
    taken: Counter[str] = Counter()
    if path != "loop" and can_step(batch) and (path == "compiled" or works()):
        everything = len(batch.thetas)
        batch = step_compiled(batch)
        taken["compiled"] = everything - len(batch.thetas)
    if batch.thetas:
        step_loop(batch)
        taken["loop"] = len(batch.thetas)
    return taken
