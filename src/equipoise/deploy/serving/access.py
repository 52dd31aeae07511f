"""Who may ask: the token in its file, the addresses that are listened on, and the headers that a browser would send."""

import hmac
import ipaddress
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from equipoise.deploy.serving.boundaries import Refused
from equipoise.errors import EquipoiseError

SHORTEST = 16
LONGEST = 512
TOKEN = "serve.token"  # noqa: S105 - the name of a file


def token_file() -> Path:
    """Return the file of the token where none is named: the user's own state folder, the same for every start."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return (Path(base) if base else Path.home() / ".local" / "state") / "equipoise" / TOKEN


def token_of(file: Path) -> str:
    """Return the token in a file; make the file, for its owner's eyes alone, where it is not there yet.

    Raises EquipoiseError for a file that others may read, that is no plain file, or holds no token.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(file)
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another file with --token-file") from error
    token = secrets.token_urlsafe(32)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(token + "\n")
    return token


def _read(file: Path) -> str:
    try:
        with os.fdopen(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as stream:
            facts = os.fstat(stream.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise EquipoiseError(f"{file} is not a plain file; name another with --token-file")
            # Windows has no such bits, and shows a file that all may read.
            if os.name == "posix" and facts.st_mode & 0o077:
                raise EquipoiseError(
                    f"other users can read {file}; run `chmod 600` on it, or remove it to get a new token"
                )
            text = stream.read(LONGEST + 2).strip()
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be read ({error}); name another file with --token-file") from error
    if not SHORTEST <= len(text) <= LONGEST or not all(0x21 <= sign <= 0x7E for sign in text):
        raise EquipoiseError(
            f"{file} holds no token of {SHORTEST} to {LONGEST} plain characters; remove it to get a new one"
        )
    return text.decode("ascii")


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine alone.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "scanner.example")]
    [True, True, True, False, False]
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_address(host: str, named: Path | None) -> None:
    """Refuse an address that other machines reach, unless a token file is named for it."""
    if not is_loopback(host) and named is None:
        raise EquipoiseError(
            f"other machines can reach {host}, and tokens and images would travel unencrypted; name a token with "
            "--token-file, and put a proxy with TLS before the server, or leave --host out"
        )


class Gate:
    """Checks the headers of a request before anything else of it is looked at."""

    def __init__(self, token: str, host: str) -> None:
        self._token, self._host = token.encode(), host.lower()

    def check_peer(self, headers: Mapping[str, str]) -> None:
        """Refuse what a page of another site could send through a browser on this machine."""
        if "origin" in headers:
            raise Refused(403, "requests from web pages in a browser are refused; send the request from a program")
        # A foreign name that was made to point at this machine (DNS rebinding) still stands in this header. Behind a
        # proxy on another address, the token alone decides.
        if is_loopback(self._host) and not is_loopback(_name(headers.get("host", ""))):
            raise Refused(403, "the header Host names another machine; ask for 127.0.0.1 or localhost")

    def check_token(self, headers: Mapping[str, str]) -> None:
        """Refuse a request without the token."""
        kind, _, token = headers.get("authorization", "").partition(" ")
        # Compared in equal time: how many of its letters were right must not show.
        if kind.lower() != "bearer" or not hmac.compare_digest(token.strip().encode(), self._token):
            raise Refused(
                401,
                "the token is missing or wrong; send the header Authorization: Bearer, and the token of the server's "
                "token file",
                {"WWW-Authenticate": "Bearer"},
            )


def _name(host: str) -> str:
    """Return the name in a Host header, without its port and brackets.

    >>> _name("127.0.0.1:8790"), _name("[::1]:80"), _name("localhost")
    ('127.0.0.1', '::1', 'localhost')
    """
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
