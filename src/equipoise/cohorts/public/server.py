"""The one place that opens connections: which addresses may be asked, and where a redirect may lead."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

import requests

from equipoise.errors import CohortError

_REDIRECTS = 5
CONNECT_SECONDS = 15.0
_USER_AGENT = "equipoise (research tool for trials of image models)"


@dataclass(frozen=True)
class Server:
    """How public data are asked for.

    hosts: the only ones that may be asked. mirror: an address that stands in for all of them, with the same paths.
    offline: no connection is opened. stall_seconds: silence after which a connection is given up and tried again.
    pause_seconds: before the first new attempt; doubled for each after it.
    """

    hosts: tuple[str, ...]
    mirror: str = ""
    offline: bool = False
    stall_seconds: float = 60.0
    pause_seconds: float = 1.0

    def address(self, published: str) -> str:
        """Return the address to ask in place of the published one: itself, or the same path on the mirror."""
        if not self.mirror:
            return published
        base, original = urlsplit(self.mirror), urlsplit(published)
        return urlunsplit((base.scheme, base.netloc, base.path.rstrip("/") + original.path, original.query, ""))

    def get(self, address: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        """Ask an address, following redirects between allowed hosts; the body is not read yet.

        Proxies of the environment (HTTPS_PROXY, NO_PROXY and others) are used. Raises CohortError for an address that
        may not be asked, requests.RequestException where the connection fails.
        """
        if self.offline:
            raise CohortError(
                f"{address} was not contacted, because --offline was given; leave it out, or copy the data here"
            )
        sent = {"User-Agent": _USER_AGENT, "Accept-Encoding": "identity"} | dict(headers or {})
        with requests.Session() as session:
            for _ in range(_REDIRECTS + 1):
                self._check(address)
                # Followed by hand, because the library would ask any host over any scheme before anybody could object.
                try:
                    response = session.get(
                        address,
                        headers=sent,
                        stream=True,
                        allow_redirects=False,
                        timeout=(CONNECT_SECONDS, self.stall_seconds),
                    )
                except ValueError as error:  # also where a redirect cannot be read, which the library tries first
                    reason = f"{address} cannot be reached, or redirects to an invalid address ({error})"
                    raise CohortError(f"{reason}; nothing was read there, check the address") from error
                if not response.is_redirect:
                    return response
                response.close()
                address = self._redirected(address, response.headers["Location"])
        raise CohortError(f"{address} was redirected more than {_REDIRECTS} times; try again later, or another mirror")

    def _check(self, address: str) -> None:
        try:
            parts = urlsplit(address)
            host, _ = parts.hostname or "", parts.port
        except ValueError as error:
            raise CohortError(
                f"{address!r} is not a valid address ({error}); give one such as https://mirror.org"
            ) from error
        if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(host)):
            raise CohortError(f"{address} is not https; give an https address (http is for this machine alone)")

    def _redirected(self, start: str, location: str) -> str:
        """Return where a redirect leads, if that is an allowed place."""
        try:
            target = urljoin(start, location)
        except ValueError:
            target = location
        allowed = {_place(f"https://{host}") for host in self.hosts} if not self.mirror else {_place(self.mirror)}
        # A redirect to the same host by http is refused as well: the place has the scheme's port.
        if _place(target) not in allowed or urlsplit(target).scheme != urlsplit(start).scheme:
            raise CohortError(
                f"{start} redirects to {target}, which is not an address of this data set; "
                "nothing was read there, try again later or download by hand"
            )
        return target


def _place(address: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(address)
        port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, (parts.hostname or "").lower(), port


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
