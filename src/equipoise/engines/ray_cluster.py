"""Run calls on a Ray cluster: one of this machine's own, or one that is joined by its address.

A Ray task is only the place: on its node it starts a worker process as the local engine does, so that threads, memory
and the reasons of a crash are the same in both. The head alone locks, opens the test set and judges.

This is the only module that imports Ray, and only where `--engine ray` asks for it.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from equipoise.child_process import PYTHON, import_environment
from equipoise.cores import available_cores
from equipoise.engines.local import KILLED, TICK_SECONDS, Failure
from equipoise.engines.ray_node import Place, answer, facts
from equipoise.errors import EquipoiseError
from equipoise.runfolder.environments import differing

INIT_SECONDS, STRANGER_SECONDS, PROBE_SECONDS = 180.0, 60.0, 180.0
LEFT_BEHIND_SECONDS = 30.0
"""After which a call that was to be ended is left: a process that stands still, or whose node does, answers nobody."""
OBJECT_STORE_BYTES = 200 * 2**20
_STRANGER = (
    "import sys, ray; ray.init(address=sys.argv[1], logging_level='ERROR', log_to_driver=False); print('let in')"
)
_FORWARDED = "EQUIPOISE_"
"""How the environment variables begin that the nodes get too."""


def _ray() -> Any:
    """Import Ray; raises EquipoiseError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report to its makers
    try:
        import ray
    except ImportError as error:
        raise EquipoiseError(
            f"--engine ray needs the package ray ({error}); install equipoise[ray], or leave --engine out"
        ) from error
    return ray


class RayCluster:
    """Alternative to `local.Workers`: calls on all nodes of a cluster, as many at once as its resources allow.

    threads: CPU threads of one call. address: of a cluster to join; None for RAY_ADDRESS, or a cluster of this
    machine's own. alike: whether nodes of different kinds are refused.
    """

    def __init__(self, threads: int, address: str | None = None, *, alike: bool = False) -> None:
        self.threads, self.alike = threads, alike
        self.address = address or os.environ.get("RAY_ADDRESS") or None
        self._ray = _ray()
        self._calls: dict[Any, int] = {}
        self._ended: dict[int, tuple[str, float]] = {}
        self._patience = _Patience()

    def __enter__(self) -> Self:
        if self.address is not None:
            refuse_open(self.address)
        try:
            self._patience.call(INIT_SECONDS, self._connect, f"the Ray cluster {self.address or 'of this machine'}")
            self._place = Place(str(Path.cwd()), self.threads, facts(with_host=self.alike))
            self._refuse_unlike_nodes()
        except BaseException:
            self._leave()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for reference in list(self._calls):
            self._ray.cancel(reference, force=True)
        self._leave()

    def _leave(self) -> None:
        self._ray.shutdown()
        self._patience.release()

    def running(self) -> list[int]:
        """Return the indices of the arguments on which calls run now."""
        return sorted(self._calls.values())

    def end(self, index: int, why: str) -> None:
        """End the process of a call that runs; the call yields a Failure, "killed", with this reason."""
        for reference, number in self._calls.items():
            if number == index and index not in self._ended:
                self._ended[index] = why, time.monotonic()
                self._ray.cancel(reference, force=True)

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument; see `local.Workers.run`."""
        waiting = list(enumerate(arguments))[::-1]
        while waiting or self._calls:
            # Not all at once: what is submitted is what runs, as far as a watch is concerned.
            while waiting and len(self._calls) < self._room():
                index, argument = waiting.pop()
                self._calls[self._task().remote(function, argument, self._place)] = index
            tick()
            ready, _ = self._ray.wait(list(self._calls), timeout=TICK_SECONDS)
            for reference in ready:
                index = self._calls.pop(reference)
                yield index, self._result(reference, index)
            for reference in self._left_behind():
                index = self._calls.pop(reference)
                yield index, Failure(KILLED, f"{self._ended.pop(index)[0]}, and did not answer")

    def _left_behind(self) -> list[Any]:
        """Return the calls that were to be ended and have not answered since; should one wake, it writes nothing."""
        # Ray asks the process itself to end, which a frozen one does not do; the job's token shuts it out.
        before = time.monotonic() - LEFT_BEHIND_SECONDS
        return [one for one, index in self._calls.items() if index in self._ended and self._ended[index][1] < before]

    def _connect(self) -> None:
        """Join the cluster, or start one that answers this machine alone."""
        common = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address is not None:
            self._ray.init(address=self.address, **common)
            return
        self._ray.init(
            address="local", num_cpus=available_cores(), include_dashboard=False, _node_ip_address="127.0.0.1",
            object_store_memory=OBJECT_STORE_BYTES, **common,
        )  # fmt: skip

    def _room(self) -> int:
        """Return how many calls the cluster can run at once, now that nodes may have come or gone; at least 1."""
        resources = self._ray.cluster_resources()
        cores, devices = int(resources.get("CPU", 0) // self.threads), int(resources.get("GPU", 0))
        return max(1, min(cores, devices) if devices else cores)

    def _task(self, **options: Any) -> Any:
        devices = self._ray.cluster_resources().get("GPU", 0)
        variables = {name: value for name, value in os.environ.items() if name.startswith(_FORWARDED)}
        variables |= import_environment()
        # No retries of Ray's own: `run_jobs` gives the second chance, after all other jobs.
        return self._ray.remote(answer).options(
            num_cpus=self.threads, num_gpus=1 if devices else 0, max_retries=0,
            runtime_env={"env_vars": variables}, **options,
        )  # fmt: skip

    def _result(self, reference: Any, index: int) -> Any:
        """Return what a call gave; a Failure where it raised, or its process or node is gone."""
        why, _ = self._ended.pop(index, (None, 0.0))
        try:
            kind, value = self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return Failure(KILLED, why or f"its node or worker was lost ({_first_line(error)})")
        if kind == "unlike":
            raise EquipoiseError(value)
        return value if kind == "result" else Failure(kind, value)

    def _refuse_unlike_nodes(self) -> None:
        """Ask every node for its software and kind; raises EquipoiseError where one could not train a job as another.

        Every call asks again, because nodes may join later.
        """
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in self._ray.nodes() if node["Alive"]}
        able = {key for key in nodes if self._able(key)}
        function = "equipoise.training.loop.determinism:environment"
        references = [
            self._task(scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False)).remote(
                function, self.threads, self._place
            )
            for node in able
        ]
        if not references:
            raise EquipoiseError(
                f"no node of the Ray cluster has the {self.threads} cores that a job needs (training.threads); add "
                "such a node"
            )
        ready, late = self._ray.wait(references, num_returns=len(references), timeout=PROBE_SECONDS)
        if late:
            raise EquipoiseError(
                f"{len(late)} of {len(able)} nodes of the Ray cluster did not answer; repair or remove them"
            )
        environments = [self._result(reference, -1) for reference in ready]
        for environment in environments:
            if isinstance(environment, Failure):
                raise EquipoiseError(f"a node of the Ray cluster cannot run a job: {environment}")
        several = differing(environments)
        if self.alike and several:
            values = "; ".join(f"{key}: {', '.join(each)}" for key, each in several.items())
            raise EquipoiseError(
                f"--alike: the nodes of the Ray cluster differ ({values}); remove the nodes that differ, or leave out "
                "--alike"
            )

    def _able(self, node: str) -> bool:
        resources = next(one["Resources"] for one in self._ray.nodes() if one["NodeID"] == node)
        return bool(resources.get("CPU", 0) >= self.threads)


def refuse_open(address: str) -> None:
    """Raise EquipoiseError for a cluster that lets in a process without a token: whoever reaches it runs code there.

    A stranger is sent, because a cluster without tokens takes a process that has one just as well.
    """
    if "://" in address:
        raise EquipoiseError(
            f"{address} is not the address of a cluster's head node; give HOST:PORT, as printed by `ray start --head`"
        )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    environment |= {"RAY_AUTH_MODE": "disabled", **import_environment()}
    command = [*PYTHON, "-c", _STRANGER, address]
    try:
        stranger = subprocess.run(  # noqa: S603 (our own interpreter and script)
            command, env=environment, capture_output=True, text=True, check=False, timeout=STRANGER_SECONDS
        )
    except subprocess.TimeoutExpired:
        return  # it was not let in; whether we are, our own time limit says
    if "let in" in stranger.stdout:
        raise EquipoiseError(
            f"the Ray cluster at {address} accepts every client that can reach it, and runs its code; make a token "
            "with `ray get-auth-token --generate`, copy ~/.ray/auth_token to every node, start Ray there again with "
            "RAY_AUTH_MODE=token, and run the same command with RAY_AUTH_MODE=token"
        )


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class _Patience:
    """Calls in a thread that stays until it is released, and raises EquipoiseError where that lasts too long.

    In a thread, because the call may wait inside a library for ever, and because Ray replaces the handler of SIGTERM
    where the main thread starts it. The thread stays, because the system ends a cluster's processes with the thread
    that started them.
    """

    def __init__(self) -> None:
        self._released = threading.Event()

    def call(self, seconds: float, call: Callable[[], object], what: str) -> None:
        """Call, and wait for its end. Raises EquipoiseError where it raises or lasts longer."""
        errors: list[BaseException] = []
        ended = threading.Event()

        def guarded() -> None:
            """Keep what the call raises, and stay."""
            try:
                call()
            except BaseException as error:  # Ray ends by SystemExit too
                errors.append(error)
            ended.set()
            self._released.wait()

        threading.Thread(target=guarded, daemon=True).start()
        if not ended.wait(seconds):
            raise EquipoiseError(
                f"{what} did not answer within {seconds:.0f} s; check that its head node runs and that the address is "
                "the one that `ray start --head` printed (a cluster may not answer at all to a wrong token)"
            )
        if errors:
            raise EquipoiseError(f"{what} cannot be joined ({_first_line(errors[0])})") from errors[0]

    def release(self) -> None:
        """Let the thread end."""
        self._released.set()
