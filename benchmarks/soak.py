"""Serve a bundle for half an hour to clients of all kinds: the server's memory, and whether its answers stay equal.

    python benchmarks/soak.py BUNDLE IMAGE [--minutes 30] [--pause 0.5]

Each round sends the image, and what should be refused: half of it, a body that is no image, a claim of 5 GB, a head
without an end, a wrong token, a body that stops. Every tenth round sends the image from 30 clients at once. Printed are
the server's resident memory by minute (growth is counted from the end of the third minute, when its pools are filled;
wanted: below 5 %), its threads and descriptors, and the statuses. Wanted: each 200 carries the bytes of the mask that
`equipoise predict --as nifti` writes.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import gzip
import http.client
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

import psutil

WARM_MINUTES = 3
COMMAND = (sys.executable, "-m", "equipoise")


class Server:
    """`equipoise serve` in a process of its own, on a free port of this machine."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        environment = os.environ | {"XDG_STATE_HOME": str(folder / "state"), "TMPDIR": str(folder)}
        self._process = subprocess.Popen(
            [*COMMAND, "serve", str(bundle), "--port", "0"],
            env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        first = self._process.stderr.readline()
        self.port = int(first.split("http://127.0.0.1:")[1].split()[0].strip("/;,"))
        self.token = (folder / "state" / "equipoise" / "serve.token").read_text().strip()
        self.watched = psutil.Process(self._process.pid)
        # The log goes on; nobody may let the pipe fill up.
        threading.Thread(target=self._process.stderr.read, daemon=True).start()

    def tree(self) -> list[psutil.Process]:
        return [self.watched, *self.watched.children(recursive=True)]

    def post(self, body: bytes, token: str | None = None) -> tuple[int, bytes]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/gzip"}
        try:
            line.request("POST", "/predict?as=nifti", body, headers)
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()

    def raw(self, length: int, body: bytes = b"") -> int:
        """Send a head that claims a length, and less; return the status, 0 where there is none."""
        head = (
            f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {self.token}\r\n"
            f"Content-Type: application/gzip\r\nContent-Length: {length}\r\n\r\n"
        ).encode()
        with socket.create_connection(("127.0.0.1", self.port), timeout=120) as line:
            line.sendall(head + body)
            try:
                answer = line.recv(4096)
            except (ConnectionError, TimeoutError):
                answer = b""
        return int(answer.split()[1]) if answer else 0

    def end(self) -> int:
        self._process.terminate()
        return self._process.wait(60)


def the_commands_mask(bundle: Path, image: Path, folder: Path) -> bytes:
    """Return the voxels of the mask that the command writes."""
    out = folder / "command"
    subprocess.run(
        [*COMMAND, "predict", str(bundle), str(image), "--as", "nifti", "--out", str(out), "--quiet"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    (mask,) = out.rglob("*.nii.gz")
    return gzip.decompress(mask.read_bytes())


def one_round(server: Server, image: bytes, expected: bytes, counts: Counter[str]) -> None:
    """Send the image once, and what must be refused."""
    status, answer = server.post(image)
    counts[f"image {status}"] += 1
    if status == 200 and gzip.decompress(answer) != expected:
        counts["answers that differ"] += 1
    for name, body in (("half an image", image[: len(image) // 2]), ("no image", b"x" * 999)):
        counts[f"{name} {server.post(body)[0]}"] += 1
    counts[f"wrong token {server.post(image, token='x' * 40)[0]}"] += 1
    counts[f"5 GB {server.raw(5 * 10**9)}"] += 1


def a_crowd(server: Server, image: bytes, counts: Counter[str]) -> None:
    """Send the image from 30 clients at once, and one body that stops in its middle."""

    def ask() -> None:
        counts[f"crowd {server.post(image)[0]}"] += 1

    crowd = [threading.Thread(target=ask) for _ in range(30)]
    for one in crowd:
        one.start()
    counts[f"a body that stops {server.raw(len(image), image[:100])}"] += 1
    for one in crowd:
        one.join()


def soak(server: Server, image: bytes, expected: bytes, minutes: float, pause: float) -> Counter[str]:
    """Send rounds for so many minutes; print the memory by minute and the growth."""
    counts: Counter[str] = Counter()
    began, minute, after_warming = time.monotonic(), 0, 0.0
    while (passed := (time.monotonic() - began) / 60) < minutes:
        one_round(server, image, expected, counts)
        counts["rounds"] += 1
        if counts["rounds"] % 10 == 0:
            a_crowd(server, image, counts)
        if passed >= minute:
            tree = server.tree()
            held = sum(one.memory_info().rss for one in tree) / 1e6
            if minute == WARM_MINUTES:
                after_warming = held
            print(f"minute {minute}: {held:.0f} MB, {sum(one.num_threads() for one in tree)} threads, "
                  f"{sum(one.num_fds() for one in tree)} descriptors", flush=True)  # fmt: skip
            minute += 1
        time.sleep(pause)
    if after_warming:
        print(f"growth from minute {WARM_MINUTES}: {100 * (held / after_warming - 1):.1f} % (wanted: below 5)")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path, help="a .nii.gz file")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two rounds")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        expected = the_commands_mask(arguments.bundle, arguments.image, folder)
        server = Server(arguments.bundle, folder)
        try:
            counts = soak(server, arguments.image.read_bytes(), expected, arguments.minutes, arguments.pause)
        finally:
            code = server.end()
    print("; ".join(f"{name} × {count}" for name, count in sorted(counts.items())) + f"; exit code {code}")


if __name__ == "__main__":
    main()
