"""The kind of machine, and what differs between the machines of a trial."""

from equipoise.runfolder.environments import differing, environment_changes
from equipoise.runfolder.host import host_class, host_class_of

ARM = "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n"


def test_a_machine_has_one_class():
    assert host_class() == host_class()
    assert host_class().keys() == {"cpu", "cpu_flags"}
    assert all(host_class().values())


def test_the_class_is_of_model_and_instructions_in_any_order():
    xeon = "model name\t: Xeon\nflags\t: avx2 fma\n\nmodel name : another\nflags : none\n"
    assert host_class_of(xeon)["cpu"] == "Xeon"
    assert host_class_of(xeon) != host_class_of(xeon.replace("fma", "fma avx512f"))
    assert host_class_of(ARM)["cpu"] == "0xd0c"
    assert host_class_of(ARM)["cpu_flags"] != host_class_of("")["cpu_flags"] == "unknown"


def test_what_an_earlier_version_did_not_record_is_no_difference():
    before, now = {"torch": "2.14", "threads": 1}, {"torch": "2.14", "threads": 2, "cpu": "Xeon"}
    assert environment_changes(before, now) == ["threads 1, then 2"]
    assert differing([before, now]) == {"threads": ["1", "2"]}
