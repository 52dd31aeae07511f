"""A server on loopback that serves files as badly as it is told to."""

import contextlib
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

Behaviour = Callable[["Handler", bytes], None]


@dataclass
class BadServer:
    """files: content by path. plan: what to do with the next requests of a path; then it is honest."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    plan: dict[str, list[Behaviour]] = field(default_factory=lambda: defaultdict(list))
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    released: threading.Event = field(default_factory=threading.Event)

    def ranges(self) -> list[str]:
        """The Range header of every request, "" where there was none."""
        return [headers.get("Range", "") for _, headers in self.asked]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bad: BadServer

    def log_message(self, *_: Any) -> None:
        return

    def do_GET(self) -> None:
        self.bad.asked.append((self.path, dict(self.headers)))
        path = self.path.removeprefix(self.bad.address).partition("?")[0]
        self.close_connection = True
        plan = self.bad.plan[path]
        behaviour = plan.pop(0) if plan else honest
        if path not in self.bad.files and behaviour is honest:
            self.send_response(404)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.tag = self.bad.tags.get(path, '"one"')
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            behaviour(self, self.bad.files.get(path, b""))

    def head(self, status: int, **headers: Any) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.send_header("Connection", "close")
        self.end_headers()


def honest(handler: Handler, content: bytes) -> None:
    start, wanted = 0, handler.headers.get("Range", "")
    if wanted and handler.headers.get("If-Range", handler.tag) == handler.tag:
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
    if start >= len(content):
        handler.head(416, Content_Length=0)
        return
    where = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
    handler.head(206 if start else 200, Content_Length=len(content) - start, ETag=handler.tag, **where)
    handler.wfile.write(content[start:])


def breaking(after: int) -> Behaviour:
    """Announce everything (what is asked), send `after` bytes of it, and hang up."""

    def behave(handler: Handler, content: bytes) -> None:
        start = int(handler.headers.get("Range", "bytes=0-")[6:-1])
        where = {"Content_Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        handler.head(206 if start else 200, Content_Length=len(content) - start, ETag=handler.tag, **where)
        handler.wfile.write(content[start : start + after])

    return behave


def stalling(handler: Handler, content: bytes) -> None:
    """Send half and then nothing, without hanging up."""
    handler.head(200, Content_Length=len(content), ETag=handler.tag)
    handler.wfile.write(content[: len(content) // 2])
    handler.wfile.flush()
    handler.bad.released.wait(10)


def dripping(handler: Handler, content: bytes) -> None:
    """One byte now and then, for ever."""
    handler.head(200, Content_Length=len(content), ETag=handler.tag)
    for index in range(len(content)):
        handler.wfile.write(content[index : index + 1])
        handler.wfile.flush()
        if handler.bad.released.wait(0.02):
            return


def announcing(length: int) -> Behaviour:
    """Say a length and send the whole file."""

    def behave(handler: Handler, content: bytes) -> None:
        handler.head(200, Content_Length=length, ETag=handler.tag)
        handler.wfile.write(content)

    return behave


def altered(handler: Handler, content: bytes) -> None:
    honest(handler, bytes([content[0] ^ 1]) + content[1:])


def endless(handler: Handler, content: bytes) -> None:
    handler.head(200, Transfer_Encoding="chunked")
    while not handler.bad.released.is_set():
        handler.wfile.write(b"10000\r\n" + bytes(0x10000) + b"\r\n")


def answering(status: int, **headers: Any) -> Behaviour:
    def behave(handler: Handler, content: bytes) -> None:
        handler.head(status, Content_Length=0, **headers)

    return behave


def whole(handler: Handler, content: bytes) -> None:
    """Know nothing of ranges."""
    handler.head(200, Content_Length=len(content))
    handler.wfile.write(content)


def elsewhere(handler: Handler, content: bytes) -> None:
    """Answer another range than the one asked for."""
    handler.head(206, Content_Length=len(content), Content_Range=f"bytes 0-{len(content) - 1}/{len(content)}")
    handler.wfile.write(content)


@pytest.fixture
def behaviours() -> dict[str, Any]:
    """What a server may do, by name."""
    kinds = (honest, breaking, stalling, dripping, announcing, altered, endless, answering, whole, elsewhere)
    return {kind.__name__: kind for kind in kinds}


@pytest.fixture
def bad_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BadServer]:
    """A server on loopback; no proxy of the environment is asked in between."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    bad = BadServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"bad": bad}))
    bad.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield bad
    bad.released.set()
    server.shutdown()
    thread.join()
    server.server_close()
