"""A server under those who send too much, too slowly, too often, or what was made to hurt it."""

import contextlib
import gzip
import io
import socket
import stat
import struct
import tempfile
import threading
import time
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pydicom
import pytest
from deploy_bundles import contract_for, make_bundle
from dicom_series import write_volume
from PIL import Image as Picture
from test_predict import affine, save, volume

from equipoise.preprocessing import Pipeline

REASON = 'not installed: pip install -r requirements/serve.txt, or "equipoise[serve]"'
for name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(name, reason=f"{name} is {REASON}")

from serving_client import multipart, served  # noqa: E402

from equipoise.deploy.serving.boundaries import Boundaries, Refused  # noqa: E402
from equipoise.deploy.serving.contents import named as named_file  # noqa: E402
from equipoise.deploy.serving.contents import unpack  # noqa: E402

LARGEST = 200_000


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A bundle, and a volume for it."""
    folder = tmp_path_factory.mktemp("limits")
    make_bundle(folder / "bundle")
    save(folder / "v.nii.gz", volume()[0], affine())
    return folder


@pytest.fixture(scope="module")
def client(place):
    """A server that takes little, and waits half a second."""
    small = {"largest": LARGEST, "seconds": 0.5, "waiting": 4, "members": 50}
    with served(place / "bundle", place, boundaries=small) as one:
        yield one


def raw(client, head, *pieces, pause=0.0, wait=20):
    """Send bytes as they are; return the status (0 where the connection ended without one) and the seconds it took."""
    began = time.monotonic()
    with socket.create_connection((client.host, client.port), timeout=wait) as line:
        line.sendall(head)
        try:
            for piece in pieces:
                time.sleep(pause)
                line.sendall(piece)
            answer = line.recv(4096)
        except ConnectionError:
            answer = b""
    return int(answer.split()[1]) if answer else 0, time.monotonic() - began


def head(client, length=None, kind="application/octet-stream", more=""):
    """The head of a request, by hand."""
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return (
        f"POST /predict HTTP/1.1\r\nHost: {client.host}:{client.port}\r\nAuthorization: Bearer {client.token}\r\n"
        f"Content-Type: {kind}\r\n{size}{more}\r\n"
    ).encode()


def nifti_claiming(path, *sides, packed=True):
    """A NIfTI file whose header claims more than it holds."""
    content = bytearray(gzip.decompress(path.read_bytes()))
    struct.pack_into("<4h", content, 40, 3, *sides)
    return gzip.compress(bytes(content)) if packed else bytes(content)


def png_claiming(width, height):
    """A PNG file whose header claims more than it holds."""
    import zlib

    stream = io.BytesIO()
    Picture.fromarray(np.zeros((4, 4), np.uint8)).save(stream, "png")
    content = bytearray(stream.getvalue())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    return bytes(content)


def zip_of(*files, how=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for member, content in files:
            archive.writestr(member, content)
    return stream.getvalue()


@pytest.mark.long
def test_too_large_is_413_whatever_says_so(place, client, tmp_path):
    assert raw(client, head(client, 5 * 10**9))[0] == 413
    assert raw(client, head(client, "9" * 400))[0] in (400, 413)  # the parser of HTTP may refuse it first
    assert raw(client, head(client, 5 * 10**9, more="Expect: 100-continue\r\n"))[1] < 0.5
    chunk = b"10000\r\n" + bytes(0x10000) + b"\r\n"
    assert raw(client, head(client, more="Transfer-Encoding: chunked\r\n"), *[chunk] * 4)[0] == 413
    file = place / "v.nii.gz"
    write_volume(tmp_path / "s", np.zeros((2, 9, 8), int), np.eye(4))
    slices = []
    for one in sorted((tmp_path / "s").iterdir()):
        data = pydicom.dcmread(one)
        data.Rows, data.Columns = 60000, 60000
        stream = io.BytesIO()
        data.save_as(stream)
        slices.append((one.name, stream.getvalue()))
    bodies = {
        "a zip that unpacks to more": zip_of(("a.nii", bytes(LARGEST + 1))),
        "two that do together": zip_of(("a.dcm", bytes(LARGEST // 2 + 1)), ("b.dcm", bytes(LARGEST // 2 + 1))),
        "too many files": zip_of(*((f"{k}.dcm", b"") for k in range(51))),
        "far too many files": zip_of(*((f"{k}.dcm", b"") for k in range(200))),
        "a packed claim": nifti_claiming(file, 30000, 30000, 6),
        "a plain claim": nifti_claiming(file, 30000, 30000, 6, packed=False),
        "slices that claim": zip_of(*slices),
    }
    for what, body in bodies.items():
        status, answer = client.predict(body)
        assert status == 413, (what, answer)
        assert "EQUIPOISE_LIMIT" not in answer["error"]
    body, kind = multipart([("f", f"{k}.dcm", b"DICM") for k in range(51)])
    assert client.predict(body, kind=kind)[0] == 413
    assert client.ask("GET", "/health")[0] == 200


@pytest.mark.long
def test_claims_of_pictures_and_of_resampling_are_413(tmp_path):
    flat = replace(contract_for("label"), spatial_dims=2)
    with served(make_bundle(tmp_path / "flat", flat), tmp_path, boundaries={"largest": LARGEST}) as client:
        assert client.predict(png_claiming(60000, 60000))[0] == 413
    fine = replace(contract_for(), pipeline=Pipeline.from_settings({"scale": "none", "resample": [0.5, 0.5, 0.5]}))
    with served(make_bundle(tmp_path / "fine", fine), tmp_path, memory_gb=0.1) as client:
        large = save(tmp_path / "large.nii.gz", volume()[0], np.diag([50.0, 50.0, 50.0, 1.0]))
        status, answer = client.predict(large.read_bytes())
        assert (status, "GB of memory" in answer["error"]) == (413, True)


@pytest.mark.long
def test_the_claim_of_a_zip_is_not_believed(tmp_path, place):
    """The list of members says 100 bytes, and a million come."""
    content = bytearray(zip_of(("a.nii", bytes(1_000_000))))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place_of = content.index(mark) + at
        content[place_of : place_of + 4] = struct.pack("<I", 100)
    (tmp_path / "archive").write_bytes(content)
    folder = tmp_path / "images"
    folder.mkdir()
    with pytest.raises(Refused) as refused:
        unpack(named_file(tmp_path / "archive"), folder, Boundaries(LARGEST))
    assert refused.value.status in (413, 422)
    assert sum(file.stat().st_size for file in folder.iterdir()) <= LARGEST


@pytest.mark.long
@pytest.mark.parametrize(
    "hostile", ["../out.dcm", "/etc/out.dcm", "..\\out.dcm", "C:\\out.dcm", "a/../../out.dcm", "link"]
)
def test_paths_and_links_in_a_zip_are_refused(client, hostile):
    member = zipfile.ZipInfo(hostile)
    if hostile == "link":
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
    status, answer = client.predict(zip_of((member, b"/etc/passwd")))
    assert (status, "zip file holds a" in answer["error"]) == (422, True)


@pytest.mark.long
def test_hostile_names_of_parts_reach_no_disk(place, client, tmp_path, monkeypatch):
    content = (place / "v.nii.gz").read_bytes()
    before = set(Path("/tmp").iterdir()) if Path("/tmp").is_dir() else set()
    for hostile in (
        "../../../../tmp/owned.nii.gz",
        "a\\..\\b.nii.gz",
        "x" * 3000,
        "%00.nii.gz",
        "nul\x00l",
        "é\u202e.png",
    ):
        body, kind = multipart([("file", hostile, content)])
        status, answer = client.predict(body, kind=kind)
        assert status == 200, answer
        assert list(answer["sources"]) == ["00000.nii.gz"]
    assert not (set(Path("/tmp").iterdir()) - before) & {Path("/tmp/owned.nii.gz")}


@pytest.mark.long
def test_bodies_that_are_cut_or_damaged_are_400(place, client):
    content = (place / "v.nii.gz").read_bytes()
    whole, kind = multipart([("file", "v.nii.gz", content)])
    for body, sent in (
        (multipart([("f", "v", content)], end=False)[0], kind), (whole[:-30], kind), (whole, "multipart/form-data"),
        (b"no parts at all", kind), (whole, f"multipart/form-data; boundary={'x' * 300}"), (b"--edge--\r\n", kind),
    ):  # fmt: skip
        status, answer = client.predict(body, kind=sent)
        assert status in (400, 422), (sent, answer)
    assert raw(client, head(client, "ten"), b"1234567890")[0] == 400


@pytest.mark.long
def test_slow_bodies_are_408_and_slow_heads_are_ended(client):
    status, seconds = raw(client, head(client, 1000), b"a" * 10)
    assert (status, seconds < 5) == (408, True)
    status, seconds = raw(client, head(client, 1000), *[b"a"] * 60, pause=0.05)  # a byte now and then
    assert (status in (0, 408), seconds < 6) == (True, True)
    status, seconds = raw(client, b"POST /predict HTTP/1.1\r\n", *[b"X-A: b\r\n"] * 80, pause=0.1, wait=10)
    assert (status, seconds < 9) == (0, True)
    assert raw(client, b"")[0] == 0  # a connection that says nothing
    assert client.ask("GET", "/health")[0] == 200


@pytest.mark.long
def test_more_than_may_wait_are_429(place, client):
    with_body = [socket.create_connection((client.host, client.port)) for _ in range(4)]
    try:
        for line in with_body:
            line.sendall(head(client, 1000) + b"a")
        time.sleep(0.2)
        status, headers, _ = client.ask("POST", "/predict", (place / "v.nii.gz").read_bytes())
        assert (status, headers["retry-after"]) == (429, "5")
        assert client.ask("GET", "/health")[0] == 200
    finally:
        for line in with_body:
            line.close()
    time.sleep(0.2)
    assert client.predict((place / "v.nii.gz").read_bytes())[0] == 200
    assert any("client left" in line for line in client.log)


@pytest.mark.long
def test_silent_connections_give_way_to_one_that_asks(place):
    few = {"connections": 20, "seconds": 30.0}
    with served(place / "bundle", place, boundaries=few) as client:
        silent = [socket.create_connection((client.host, client.port)) for _ in range(40)]
        for line in silent:
            with contextlib.suppress(ConnectionError):
                line.sendall(b"POST /predict HTTP/1.1\r\n")
        assert client.ask("GET", "/health")[0] == 200
        assert client.predict((place / "v.nii.gz").read_bytes())[0] == 200
        for line in silent:
            line.close()


@pytest.mark.long
def test_clients_that_leave_leave_nothing_behind(place, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    body = (place / "v.nii.gz").read_bytes()
    with served(place / "bundle", place) as client:
        (folder,) = tmp_path.glob("equipoise-serve-*")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for _ in range(30):
            with socket.create_connection((client.host, client.port)) as line:
                line.sendall(head(client, len(body)) + body)
        for _ in range(200):
            if not list(folder.iterdir()):
                break
            time.sleep(0.05)
        assert list(folder.iterdir()) == []
        assert client.ask("TRACE", "/")[0] == 405
        assert client.ask("GET", "/predict")[0] == 405
    assert not folder.exists()


@pytest.mark.long
def test_a_client_that_fetches_nothing_is_ended(place):
    """Its answer is larger than the buffers of the connection."""
    with served(place / "bundle", place, boundaries={"seconds": 0.5, "pace": 1 << 30}) as client:
        with socket.socket() as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            line.connect((client.host, client.port))
            request = f"GET /openapi.json HTTP/1.1\r\nHost: {client.host}\r\n\r\n".encode()
            line.settimeout(10)
            try:
                for _ in range(4000):
                    line.sendall(request)
                ended = False
            except (TimeoutError, ConnectionError):
                ended = True
            began = time.monotonic()
            with_error = False
            while time.monotonic() - began < 10 and not with_error:
                try:
                    line.sendall(request)
                    time.sleep(0.1)
                except (TimeoutError, ConnectionError):
                    with_error = True
            assert ended or with_error
        assert client.ask("GET", "/health")[0] == 200


def hammer(client, body, count):
    """Send a body from many clients at once; return how many got which status."""
    statuses, threads = [], []

    def ask():
        try:
            statuses.append(client.predict(body)[0])
        except OSError as error:
            statuses.append(type(error).__name__)

    for _ in range(count):
        threads.append(threading.Thread(target=ask))
        threads[-1].start()
    for thread in threads:
        thread.join()
    return Counter(statuses)


@pytest.mark.slow
def test_150_clients_are_answered_or_asked_to_come_again(place):
    body = (place / "v.nii.gz").read_bytes()
    with served(place / "bundle", place) as client:
        hammer(client, body, 150)
        here = psutil.Process()
        before = here.memory_info().rss
        total = Counter()
        for _ in range(6):
            total += hammer(client, body, 150)
        assert set(total) <= {200, 429}, total
        assert total[200] >= 6 * 64
        assert here.memory_info().rss - before < 32e6
        assert client.predict(body)[0] == 200


@pytest.mark.slow
def test_abuse_leaves_nothing_behind(place):
    """300 requests of all kinds: memory, threads, descriptors and files are as before."""
    good = (place / "v.nii.gz").read_bytes()
    bodies = [
        good,
        good[:100],
        zip_of(("a.nii", bytes(10**6))),
        nifti_claiming(place / "v.nii.gz", 30000, 30000, 6),
        b"x",
    ]
    here = psutil.Process()
    with served(place / "bundle", place, boundaries={"largest": LARGEST}) as client:
        for body in bodies * 4:
            client.predict(body)
        before = here.memory_info().rss, here.num_fds(), here.num_threads()
        for number in range(60):
            for body in bodies:
                client.predict(body)
            if not number % 10:
                raw(client, head(client, 5 * 10**9))
        assert here.memory_info().rss - before[0] < 16e6
        assert here.num_fds() <= before[1] + 2
        assert here.num_threads() <= before[2] + 1
