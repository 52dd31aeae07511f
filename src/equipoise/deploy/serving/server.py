"""`equipoise serve`: a bundle checked and proven, a socket opened, the token's file named, and requests answered."""

import importlib
import logging
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from equipoise.cohorts.formats.limits import MIB
from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle
from equipoise.deploy.serving.access import Gate, check_address, is_loopback, token_file, token_of
from equipoise.deploy.serving.boundaries import Boundaries, boundaries_for
from equipoise.errors import EquipoiseError
from equipoise.sinks import printable

HOST, PORT = "127.0.0.1", 8790
_SHUTDOWN_SECONDS = 5
_BACKLOG = 256


@dataclass(frozen=True)
class Address:
    """Where a server listens, and the file of its token."""

    host: str
    port: int
    token_file: Path

    @property
    def url(self) -> str:
        """The address as a URL; the token is never a part of it."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"


def serve(
    bundle: str | Path,
    *,
    host: str = HOST,
    port: int = PORT,
    token: Path | None = None,
    runtime: str = "onnx",
    largest_mb: float | None = None,
    memory_gb: float | None = None,
    boundaries: Mapping[str, Any] | None = None,
    log: Callable[[str], None] | None = None,
    ready: Callable[[Address], None] | None = None,
    stop: threading.Event | None = None,
) -> Address:
    """Serve a bundle until Ctrl-C, SIGTERM or `stop`; return where it was served.

    port: 0 takes a free one. token: the file of the token; made, readable by its owner alone, where it is not there.
    largest_mb, memory_gb: instead of what the bundle's training images and this machine suggest; boundaries: other
    fields of `Boundaries`. ready: called once requests are answered. Raises EquipoiseError for a bundle, an address or
    a token file that cannot be used.
    """
    uvicorn, application, connections = _libraries()
    check_address(host, token)
    log = log or to_stderr
    loaded = Bundle(bundle, runtime)
    bounds = _boundaries(loaded, largest_mb, memory_gb, boundaries or {})
    listening = _listening(host, port)
    with listening:
        address = Address(host, listening.getsockname()[1], token or token_file())
        gate = Gate(token_of(address.token_file), host)
        _quieten()
        service = application.Service(loaded, gate, bounds, runtime, log)
        config = uvicorn.Config(
            service.app, http=connections.protocol_for(bounds), ws="none", loop="asyncio", lifespan="on",
            log_config=None, access_log=False, server_header=False, proxy_headers=False, backlog=_BACKLOG,
            timeout_keep_alive=5, timeout_graceful_shutdown=_SHUTDOWN_SECONDS, h11_max_incomplete_event_size=16384,
        )  # fmt: skip
        server = uvicorn.Server(config)
        threading.Thread(target=_announce, args=(server, address, ready, stop), daemon=True).start()
        try:
            server.run(sockets=[listening])
        except KeyboardInterrupt:
            log("stopped")
    return address


def _libraries() -> tuple[Any, Any, Any]:
    """Import the libraries of the server, and what is built on them."""
    try:
        importlib.import_module("python_multipart")
        return tuple(
            importlib.import_module(name)
            for name in ("uvicorn", "equipoise.deploy.serving.application", "equipoise.deploy.serving.connections")
        )  # type: ignore[return-value]
    except ImportError as error:
        raise EquipoiseError(
            f'the server needs more packages ({error}); install them with pip install "equipoise[serve]"'
        ) from error


def _boundaries(
    bundle: Bundle, largest_mb: float | None, memory_gb: float | None, others: Mapping[str, Any]
) -> Boundaries:
    for name, value in (("--max-mb", largest_mb), ("--max-memory", memory_gb)):
        if value is not None and not 0 < value < 1e6:
            raise EquipoiseError(f"{name} is {value:g}; give a positive number")
    largest = None if largest_mb is None else max(1, int(largest_mb * MIB))
    return boundaries_for(bundle.files.record["limits"], **{"largest": largest, "memory_gb": memory_gb, **others})


def _listening(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise EquipoiseError(f"--port is {port}; give a number from 0 to 65535")
    opened = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        opened.bind((host, port))
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        raise EquipoiseError(
            f"the server cannot listen on {host}:{port} ({error.strerror or error}); stop the program that uses this "
            "port, or give another --port"
        ) from error
    return opened


def _quieten() -> None:
    """Keep libraries from writing what a file says: warnings on DICOM quote names of patients."""
    warnings.simplefilter("ignore")
    for name in ("pydicom", "highdicom", "nibabel.global", "PIL", "python_multipart", "uvicorn.error", "asyncio"):
        logger = logging.getLogger(name)
        logger.setLevel(logging.CRITICAL + 1)
        logger.propagate = False


def _announce(
    server: Any, address: Address, ready: Callable[[Address], None] | None, stop: threading.Event | None
) -> None:
    """Say when requests are answered, and end the server when it is asked to."""
    pause = threading.Event()
    while not server.started and not server.should_exit:
        pause.wait(0.01)
    if ready is not None and server.started:
        ready(address)
    if stop is not None:
        stop.wait()
        server.should_exit = True


def to_stderr(line: str) -> None:
    """Write a line of the log."""
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


def unheard(_: str) -> None:
    """Keep no log."""


def announcement(address: Address, largest: int | None = None) -> str:
    """Return the lines that are printed once requests are answered."""
    more = "" if is_loopback(address.host) else ": other machines reach it, so put a proxy with TLS before it"
    size = "" if largest is None else f"; at most {largest} bytes a request"
    return (
        f"listening on {address.url}{more}{size}\nthe token is in {address.token_file}; the page {address.url}/ "
        f"explains how to send requests; Ctrl-C stops it\n{RESEARCH_ONLY[0].upper()}{RESEARCH_ONLY[1:]}."
    )
