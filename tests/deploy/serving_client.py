"""A server in a thread of the test's own process, and requests to it."""

import http.client
import json
import threading
from contextlib import contextmanager
from pathlib import Path

from equipoise.deploy.serving.server import serve


class Client:
    """Asks one server."""

    def __init__(self, address):
        self.host, self.port, self.token = address.host, address.port, address.token_file.read_text().strip()
        self.log = []

    def ask(self, method, path, body=None, kind="application/octet-stream", token=None, **headers):
        """Return status, headers and content."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=60)
        all_headers = {"Authorization": f"Bearer {self.token if token is None else token}"}
        all_headers |= {"Content-Type": kind} if body is not None else {}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items() if value is not None}
        try:
            connection.request(method, path, body, all_headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def predict(self, body, query="", kind="application/octet-stream", **headers):
        """Post an image; return status and content, JSON read."""
        status, sent, content = self.ask("POST", f"/predict{query}", body, kind, **headers)
        return status, json.loads(content) if sent["content-type"] == "application/json" else content


@contextmanager
def served(bundle, folder, **settings):
    """A client of a bundle that is served until the block ends."""
    stop, started, came, failed = threading.Event(), threading.Event(), [], []
    lines = []

    def run():
        try:
            serve(
                bundle, port=0, token=Path(folder) / "token", log=lines.append, stop=stop,
                ready=lambda address: (came.append(address), started.set()), **settings,
            )  # fmt: skip
        except BaseException as error:
            failed.append(error)
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(60)
    if failed:
        raise failed[0]
    client = Client(came[0])
    client.log = lines
    try:
        yield client
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()


def multipart(parts, boundary="edge", end=True):
    """A multipart body of (name, file name, content), and its content type."""
    body = b""
    for name, file, content in parts:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{file}"\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    return body + (f"--{boundary}--\r\n".encode() if end else b""), f"multipart/form-data; boundary={boundary}"
