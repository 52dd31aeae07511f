"""Which addresses are asked: https or this machine, the hosts of the data set, and no other after a redirect."""

import pytest

from equipoise.cohorts.public.server import Server
from equipoise.errors import CohortError


@pytest.fixture
def server(bad_server):
    bad_server.files["/here"] = b"content"
    return Server(("data.example",), bad_server.address, stall_seconds=1)


def test_a_redirect_within_the_host_is_followed(server, bad_server, behaviours):
    bad_server.plan["/old"] = [behaviours["answering"](302, Location="/here")]
    assert server.get(bad_server.address + "/old").content == b"content"


@pytest.mark.parametrize(
    "target",
    ["http://elsewhere.example/here", "https://elsewhere.example/here", "http://localhost:{port}/here",
     "http://127.0.0.1:1/here", "https://127.0.0.1:{port}/here", "file:///etc/passwd", "//elsewhere.example/here",
     "http://127.0.0.1:{port}@elsewhere.example/", "ftp://127.0.0.1:{port}/here", "http://[::1/"],
)  # fmt: skip
def test_a_redirect_to_anywhere_else_is_refused(server, bad_server, behaviours, target):
    port = bad_server.address.rpartition(":")[2]
    bad_server.plan["/old"] = [behaviours["answering"](301, Location=target.format(port=port))]
    with pytest.raises(CohortError, match="not an address of this data set|an invalid address"):
        server.get(bad_server.address + "/old")
    assert len(bad_server.asked) == 1


def test_a_published_address_may_redirect_to_its_own_hosts_by_https_alone():
    server = Server(("a.example", "b.example"))
    assert server._redirected("https://a.example/x", "//b.example/y") == "https://b.example/y"
    for target in ("http://a.example/x", "https://c.example/", "https://a.example:8443/", "https://a.example.evil/"):
        with pytest.raises(CohortError, match="not an address of this data set"):
            server._redirected("https://a.example/x", target)


def test_redirects_in_a_circle_end(server, bad_server, behaviours):
    bad_server.plan["/old"] = [behaviours["answering"](302, Location="/old")] * 20
    with pytest.raises(CohortError, match="redirected more than 5 times"):
        server.get(bad_server.address + "/old")


@pytest.mark.parametrize("address", ["http://data.example/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "nothing"])
def test_only_https_or_this_machine_is_asked(address):
    with pytest.raises(CohortError, match="is not https"):
        Server(()).get(address)


def test_a_broken_address_is_one_sentence():
    with pytest.raises(CohortError, match="is not a valid address"):
        Server(()).get("https://[::1/")


def test_a_mirror_stands_in_with_the_same_path():
    mirrored = Server((), "https://mirror.example/public/").address("https://data.example/records/a.npz?download=1")
    assert mirrored == "https://mirror.example/public/records/a.npz?download=1"


def test_offline_opens_no_connection(bad_server):
    with pytest.raises(CohortError, match="--offline"):
        Server((), bad_server.address, offline=True).get(bad_server.address + "/here")
    assert not bad_server.asked


def test_the_proxy_of_the_environment_is_asked(bad_server, monkeypatch):
    """The loopback server stands for the proxy: it receives the whole address of another host."""
    monkeypatch.setenv("http_proxy", bad_server.address)
    monkeypatch.setenv("no_proxy", "")
    bad_server.files["http://127.0.0.1:9/file"] = b"through the proxy"
    assert Server(()).get("http://127.0.0.1:9/file").content == b"through the proxy"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(OSError, match="refused"):
        Server(()).get("http://127.0.0.1:9/file")
