"""Downloads from a server that breaks, stalls, truncates, alters and lies: the right file, or none and one sentence."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from equipoise.cohorts.public.catalogue import PublicFile
from equipoise.cohorts.public.download import ATTEMPTS, Receiver, download
from equipoise.cohorts.public.server import Server
from equipoise.errors import CohortError
from equipoise.progress import silent

CONTENT = np.random.default_rng(0).bytes(300_000)
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def file():
    return PublicFile("set.npz", "https://data.example/records/set.npz?download=1", MD5, 2 * len(CONTENT))


@pytest.fixture
def server(bad_server):
    bad_server.files["/records/set.npz"] = CONTENT
    return Server(("data.example",), bad_server.address, stall_seconds=20.0, pause_seconds=0.001)


@pytest.fixture
def bad_plan(bad_server):
    return bad_server.plan["/records/set.npz"]


def fetched(file, server, folder, checksum=MD5):
    return download(file, checksum, folder, server, silent).read_bytes()


def nothing_kept(folder):
    """Neither the file nor a part of it, so that nothing can be taken for it later."""
    return not [path for path in folder.rglob("*") if path.is_file()]


def test_an_honest_server_gives_the_file_and_is_asked_once(file, server, bad_server, tmp_path):
    assert fetched(file, server, tmp_path) == CONTENT
    assert fetched(file, server, tmp_path) == CONTENT
    assert [path for path, _ in bad_server.asked] == ["/records/set.npz?download=1"]
    assert [path.name for path in tmp_path.iterdir()] == ["set.npz"]


def test_a_broken_download_goes_on_where_it_broke(file, server, bad_server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["breaking"](100_000), behaviours["breaking"](50_000)]
    assert fetched(file, server, tmp_path) == CONTENT
    assert bad_server.ranges() == ["", "bytes=100000-", "bytes=150000-"]


def test_a_later_call_goes_on_with_what_an_earlier_one_received(
    file, server, bad_server, bad_plan, behaviours, tmp_path
):
    bad_plan += [behaviours["breaking"](100_000)] + [behaviours["answering"](503)] * ATTEMPTS
    with pytest.raises(CohortError, match=r"100000 bytes were received and are kept: the same command resumes"):
        fetched(file, server, tmp_path)
    assert fetched(file, server, tmp_path) == CONTENT
    assert bad_server.ranges()[-1] == "bytes=100000-"


@pytest.mark.parametrize("kind", ["stalling", "dripping"])
def test_a_silent_connection_is_given_up_and_resumed(kind, file, server, bad_server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours[kind]]
    assert fetched(file, replace(server, stall_seconds=0.3), tmp_path) == CONTENT
    assert bad_server.ranges()[1].startswith("bytes=")


def test_a_length_too_short_is_a_wrong_file(file, server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["announcing"](len(CONTENT) - 1)]
    with pytest.raises(CohortError, match=r"does not have the MD5 \w{32} that was published"):
        fetched(file, server, tmp_path)
    assert nothing_kept(tmp_path)


def test_a_length_too_long_is_a_broken_answer(file, server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["announcing"](len(CONTENT) + 1)]
    # The rest does not exist (416), so the file is asked for anew.
    assert fetched(file, server, tmp_path) == CONTENT


def test_one_altered_byte_is_refused_and_nothing_is_kept(file, server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["altered"]]
    with pytest.raises(CohortError, match="nothing was kept"):
        fetched(file, server, tmp_path)
    assert nothing_kept(tmp_path)


def test_an_altered_file_on_the_disk_is_fetched_anew(file, server, bad_server, tmp_path):
    (tmp_path / "set.npz").write_bytes(CONTENT[::-1])
    assert fetched(file, server, tmp_path) == CONTENT
    assert len(bad_server.asked) == 1


def test_a_file_that_was_replaced_between_two_attempts_is_not_mixed(
    file, server, bad_server, bad_plan, behaviours, tmp_path
):
    def old(handler, content):
        handler.tag = '"old"'
        behaviours["breaking"](1000)(handler, bytes(len(content)))

    bad_plan += [old]
    assert fetched(file, server, tmp_path) == CONTENT
    assert bad_server.asked[1][1]["If-Range"] == '"old"'


def test_a_mix_that_the_server_does_not_notice_is_fetched_anew_once(
    file, server, bad_server, bad_plan, behaviours, tmp_path
):
    def old(handler, content):
        behaviours["breaking"](1000)(handler, bytes(len(content)))

    bad_plan += [old]
    assert fetched(file, server, tmp_path) == CONTENT
    assert bad_server.ranges() == ["", "bytes=1000-", ""]
    # A server that breaks and alters each time is not asked for ever.
    (tmp_path / "set.npz").unlink()
    bad_plan += [old, behaviours["altered"]] * 3
    with pytest.raises(CohortError, match="nothing was kept"):
        fetched(file, server, tmp_path)


@pytest.mark.parametrize("kind", ["whole", "elsewhere"])
def test_a_server_without_ranges_sends_it_again(kind, file, server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["breaking"](1000), behaviours[kind]]
    assert fetched(file, server, tmp_path) == CONTENT


def test_an_endless_answer_is_cut_off(file, server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["endless"]]
    with pytest.raises(CohortError, match="sends more than 600000 bytes"):
        fetched(file, server, tmp_path)
    assert not list(tmp_path.glob("*.part"))
    bad_plan += [behaviours["announcing"](10**15)]
    with pytest.raises(CohortError, match="sends more than 600000 bytes"):
        fetched(file, server, tmp_path)


def test_refusals_of_the_server_are_told(file, server, bad_plan, behaviours, tmp_path):
    bad_plan += [behaviours["answering"](404)]
    with pytest.raises(CohortError, match="answers 404 Not Found; check its page"):
        fetched(file, server, tmp_path)
    bad_plan += [behaviours["answering"](503)] * 2
    assert fetched(file, server, tmp_path) == CONTENT


def test_nobody_there_is_one_sentence(file, server, tmp_path):
    closed = replace(server, mirror="http://127.0.0.1:1")
    with pytest.raises(CohortError, match=f"closed the connection {ATTEMPTS} times in a row"):
        fetched(file, closed, tmp_path)


def test_an_encoded_answer_is_refused(file, server, bad_plan, tmp_path):
    def packed(handler, content):
        handler.head(200, Content_Length=3, Content_Encoding="gzip")
        handler.wfile.write(b"abc")

    bad_plan += [packed]
    with pytest.raises(CohortError, match="encoding that was not requested"):
        fetched(file, server, tmp_path)


def test_without_a_checksum_a_part_is_resumed_only_where_the_file_is_proven_the_same(
    server, bad_server, bad_plan, behaviours, tmp_path
):
    address = server.address("https://data.example/records/set.npz")
    receiver = Receiver(server, tmp_path / ".set.npz.part", 10**6, silent, sure=False)
    bad_plan += [behaviours["breaking"](1000)]
    assert receiver.receive(address).read_bytes() == CONTENT
    assert bad_server.ranges() == ["", "bytes=1000-"]

    def broken_without_tag(handler, content):
        handler.head(200, Content_Length=len(content))
        handler.wfile.write(content[:1000])

    bad_plan += [broken_without_tag]
    receiver.part.unlink()
    assert receiver.receive(address).read_bytes() == CONTENT
    assert bad_server.ranges()[2:] == ["", ""]


def test_progress_is_told_in_mebibytes(file, server, tmp_path):
    told = []
    download(file, MD5, tmp_path, server, lambda *state: told.append(state))
    assert told[-1] == ("set.npz, MiB", 1, 1)
