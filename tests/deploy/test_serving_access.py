"""Who may ask a server, where it listens, and how its command ends."""

import os
import signal
import socket
import stat
import subprocess
import sys

import pytest
from deploy_bundles import make_bundle

from equipoise.errors import EquipoiseError

REASON = 'not installed: pip install -r requirements/serve.txt, or "equipoise[serve]"'
for name in ("starlette", "uvicorn", "python_multipart"):
    pytest.importorskip(name, reason=f"{name} is {REASON}")

from serving_client import multipart  # noqa: E402

from equipoise.deploy.serving.access import check_address, token_of  # noqa: E402
from equipoise.deploy.serving.boundaries import Boundaries, Refused, boundaries_for  # noqa: E402
from equipoise.deploy.serving.parts import split  # noqa: E402
from equipoise.deploy.serving.server import serve  # noqa: E402


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a bundle."""
    folder = tmp_path_factory.mktemp("access")
    make_bundle(folder / "bundle")
    return folder


def test_parts_become_files_under_names_of_our_own(tmp_path):
    body, kind = multipart([("t1", "../a.nii.gz", b"\x1f\x8bx"), ("x", "b.dcm", b"no preamble"), ("y", "", b"text")])
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "images").mkdir()
    first, second, third = split(tmp_path / "body", kind, tmp_path / "images", Boundaries(200_000))
    assert (first.path.name, first.channel, first.path.read_bytes()) == ("00000.nii.gz", "t1", b"\x1f\x8bx")
    assert (second.kind, third.kind, third.path.name) == (".dcm", "", "00002")
    (tmp_path / "body").write_bytes(body[:-6])
    (tmp_path / "again").mkdir()
    with pytest.raises(Refused, match="ends early"):
        split(tmp_path / "body", kind, tmp_path / "again", Boundaries(200_000))


def test_a_token_is_made_once_and_for_its_owner_alone(tmp_path):
    file = tmp_path / "deep" / "token"
    token = token_of(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(token) >= 40
    assert token_of(file) == token
    file.chmod(0o644)
    with pytest.raises(EquipoiseError, match="other users can read"):
        token_of(file)
    for content in ("", "short", "x" * 600, "with a space in the middle of it"):
        (tmp_path / "bad").write_text(content)
        (tmp_path / "bad").chmod(0o600)
        with pytest.raises(EquipoiseError, match="holds no token"):
            token_of(tmp_path / "bad")


def test_other_machines_need_a_named_token(tmp_path):
    with pytest.raises(EquipoiseError, match="unencrypted.*proxy with TLS"):
        check_address("0.0.0.0", None)
    check_address("0.0.0.0", tmp_path / "token")
    check_address("::1", None)


def test_boundaries_follow_the_training_images():
    limits = {"sides": {"high": [512, 512, 600]}, "levels": {"high": [[1, 2, 3]]}}
    assert boundaries_for(limits).largest == 1 << 32
    limits["sides"]["high"] = [30, 30, 30]
    assert boundaries_for(limits).largest == 64 << 20
    assert boundaries_for(limits, largest=5, waiting=None).largest == 5
    with pytest.raises(Refused, match="5 bytes"):
        raise boundaries_for(limits, largest=5).too_large("it has", 9)


@pytest.mark.long
def test_addresses_that_cannot_be_used_are_one_sentence(place, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for settings, text in (
            ({"port": port}, "cannot listen on"), ({"port": 70000}, "give a number"),
            ({"host": "0.0.0.0"}, "name a token"), ({"host": "no such name"}, "name a token"),
            ({"port": 0, "largest_mb": -1.0}, "--max-mb is -1"),
        ):  # fmt: skip
            token = None if "host" in settings else tmp_path / "token"
            with pytest.raises(EquipoiseError, match=text):
                serve(place / "bundle", token=token, **settings)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_cleanly(place, tmp_path, number):
    environment = os.environ | {"TMPDIR": str(tmp_path), "XDG_STATE_HOME": str(tmp_path / "state")}
    command = [sys.executable, "-m", "equipoise", "serve", str(place / "bundle"), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    first = process.stderr.readline()
    assert first.startswith("listening on http://127.0.0.1:")
    token = (tmp_path / "state" / "equipoise" / "serve.token").read_text().strip()
    assert list(tmp_path.glob("equipoise-serve-*"))
    process.send_signal(number)
    out, rest = process.communicate(timeout=30)
    assert process.returncode == 0, rest
    assert "stopped serving" in out
    assert token not in first + out + rest
    assert not list(tmp_path.glob("equipoise-serve-*"))
