"""How a trial is carried out: what changes where and when jobs run, and nothing of the plan."""

from dataclasses import dataclass

from equipoise.errors import EquipoiseError

ENGINES = ("local", "ray")


@dataclass(frozen=True)
class Execution:
    """Where jobs run, and what is done with those that stand still.

    engine: "local" (processes of this machine, or those of a launcher) or "ray". address: of a Ray cluster; None for
    RAY_ADDRESS, or one of this machine's own. stall_minutes: time without a new epoch after which a job's worker is
    ended and the job tried again; None to wait for ever. alike: whether only one kind of machine may train.
    Raises EquipoiseError for values that cannot be.
    """

    engine: str = "local"
    address: str | None = None
    stall_minutes: float | None = None
    alike: bool = False

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise EquipoiseError(f"engine {self.engine!r} is unknown; allowed: {', '.join(ENGINES)}")
        if self.address is not None and self.engine != "ray":
            raise EquipoiseError("--ray-address names a cluster, but jobs run on this machine; add --engine ray")
        if self.stall_minutes is not None and not self.stall_minutes > 0:
            raise EquipoiseError(f"--stall-minutes is {self.stall_minutes:g}; give a number above 0")


LOCAL = Execution()
