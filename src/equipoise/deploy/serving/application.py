"""The routes of the server: who asks is checked first, then how much, then what."""

import asyncio
import shutil
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as Asked
from starlette.responses import HTMLResponse, JSONResponse
from starlette.responses import Response as Sent
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from equipoise.deploy.predictor import RESEARCH_ONLY, Bundle
from equipoise.deploy.serving.access import Gate
from equipoise.deploy.serving.answering import Response, about, answer, header_of, request_of
from equipoise.deploy.serving.body import Incoming, claimed_length, receive_file
from equipoise.deploy.serving.boundaries import Boundaries, ClientLeft, Refused
from equipoise.deploy.serving.description import openapi, page
from equipoise.deploy.serving.queue import Places, Worker

Log = Callable[[str], None]
_SAFE = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
}


class Service:
    """A bundle that answers requests; `app` is what a server runs.

    runtime: of the bundle. log: takes a line per request: method, route, status, bytes, seconds, and nothing that the
    client chose.
    """

    def __init__(self, bundle: Bundle, gate: Gate, boundaries: Boundaries, runtime: str, log: Log) -> None:
        self.bundle, self.gate, self.boundaries, self.runtime, self.log = bundle, gate, boundaries, runtime, log
        self.places, self.worker, self._numbers = Places(boundaries), Worker(), count()
        self.folder = Path(tempfile.gettempdir())
        routes = [
            Route("/", self._route("/", self._page, open_to_all=True), methods=["GET"]),
            Route("/health", self._route("/health", self._health, open_to_all=True), methods=["GET"]),
            Route("/openapi.json", self._route("/openapi.json", self._openapi, open_to_all=True), methods=["GET"]),
            Route("/bundle", self._route("/bundle", self._about), methods=["GET"]),
            Route("/predict", self._route("/predict", self._predict), methods=["POST"]),
        ]
        self.app = Starlette(routes=routes, lifespan=self._lifespan, exception_handlers={HTTPException: self._unknown})

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        """Keep bodies in a folder that only this user may read, and leave none behind."""
        self.folder = Path(tempfile.mkdtemp(prefix="equipoise-serve-"))
        try:
            yield
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _route(self, path: str, act: Callable[..., Any], *, open_to_all: bool = False) -> Any:
        """Return an endpoint that checks who asks, acts, and turns refusals into answers."""
        return _Endpoint(self, path, act, open_to_all)

    async def _page(self, _: Asked) -> Sent:
        return HTMLResponse(page(self.bundle, self.boundaries))

    async def _health(self, _: Asked) -> Sent:
        return JSONResponse({"status": "ok"})

    async def _openapi(self, _: Asked) -> Sent:
        return JSONResponse(openapi(self.bundle, self.boundaries))

    async def _about(self, _: Asked) -> Sent:
        return JSONResponse(about(self.bundle))

    async def _predict(self, query: Asked) -> Sent:
        """Answer the image in the body; the place in the queue is held until the answer is made."""
        length = claimed_length(query.headers, self.boundaries)
        request = request_of(query.headers.get("content-type", ""), dict(query.query_params), self.bundle)
        # A body whose length is not stated counts as the largest: it may become that.
        with self.places.place(self.boundaries.largest if length is None else length):
            folder = self.folder / f"{next(self._numbers):09d}"
            folder.mkdir(mode=0o700)
            try:
                body = folder / "body"
                await receive_file(query.receive, body, self.boundaries)
                made = await self._answered(
                    query,
                    lambda: answer(request, body, self.bundle, self.runtime, self.boundaries),
                )
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        return Sent(made.content, media_type=made.media, headers=self._headers(made))

    def _headers(self, made: Response) -> dict[str, str]:
        return {
            "Content-Disposition": f'attachment; filename="{made.name}"',
            "Equipoise-Bundle": self.bundle.sha256,
            "Equipoise-Warnings": header_of(made.warnings),
            "Equipoise-Note": RESEARCH_ONLY,
        }

    async def _answered(self, query: Asked, act: Callable[[], Response]) -> Response:
        """Return what the thread answers; ClientLeft where nobody waits for it any more."""
        job = asyncio.ensure_future(self.worker.run(act))
        leaving = asyncio.ensure_future(_left(query.receive))
        try:
            await asyncio.wait({job, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not job.done():
                raise ClientLeft
            made: Response = job.result()
            return made
        finally:
            leaving.cancel()
            job.cancel()

    async def _unknown(self, _: Asked, error: Exception) -> Sent:
        status = error.status_code if isinstance(error, HTTPException) else 500
        text = {404: "there is no such route; see /", 405: "this route takes other methods; see /"}.get(status, "")
        return refusal(Refused(status, text or "the request cannot be answered"))


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def refusal(refused: Refused) -> Sent:
    """Return the response to a request that is refused; the connection ends, for a body may still be on its way."""
    headers = refused.headers | {"Connection": "close"}
    return JSONResponse({"error": refused.text, "note": RESEARCH_ONLY}, refused.status, headers)


class _Endpoint:
    """One route as an ASGI application; `act` returns the response."""

    def __init__(self, service: Service, path: str, act: Callable[..., Any], open_to_all: bool) -> None:
        self.service, self.path, self.act, self.open_to_all = service, path, act, open_to_all

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check who asks, act, and say in one line how it went."""
        began, incoming = time.monotonic(), Incoming(receive)
        query = Asked(scope, incoming)
        try:
            self.service.gate.check_peer(query.headers)
            if not self.open_to_all:
                self.service.gate.check_token(query.headers)
            response: Sent = await self.act(query)
        except ClientLeft:
            self._log(query.method, "client left", 0, began)
            return
        except Refused as refused:
            # A client that asked whether it may go on has not sent its body and waits for this answer.
            if query.headers.get("expect", "").lower() != "100-continue" and query.method == "POST":
                await incoming.drain()
            response = refusal(refused)
        except Exception as error:
            # Where it happened, never what it says: its text may hold a part of a file.
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.service.log(f"error {type(error).__name__} at {Path(place.filename).name}:{place.lineno}")
            response = refusal(Refused(500, "the server failed at this request; its log says where"))
        for name, value in _SAFE.items():
            response.headers[name] = value
        self._log(query.method, str(response.status_code), len(response.body), began)
        await response(scope, incoming, send)

    def _log(self, method: str, outcome: str, size: int, began: float) -> None:
        self.service.log(f"{method} {self.path} {outcome} {size} bytes {time.monotonic() - began:.3f} s")
