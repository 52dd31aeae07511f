"""What exports left beside a run is in its report: latencies, and links to pages; what cannot be read is left out."""

import json

import pytest

from equipoise.report.pages.exported import page_links, runtime_table
from equipoise.runfolder.paths import example_page, runtime_timings


def timings(**changed):
    entry = {"arm": "unet", "job": "0-1", "bundle": "ab" * 32, "threads": 1, "ms_per_case": {"torch": 4.0, "onnx": 1.5}}
    return json.dumps(entry | changed)


def test_latencies_are_rows_in_one_order(tmp_path):
    for arm, spent in (("unet", {"onnx": 1.5, "torch": 4.0}), ("deeplab", {"openvino-bf16": 0.5, "onnx": 2.0})):
        file = runtime_timings(tmp_path, arm)
        file.parent.mkdir(exist_ok=True)
        file.write_text(timings(ms_per_case=spent))
    table = runtime_table(tmp_path, ["deeplab", "unet", "densenet"])
    assert table.runtimes == ("torch, as in the trial", "ONNX Runtime", "OpenVINO, bfloat16")
    assert [(row.arm, row.milliseconds) for row in table.rows] == [
        ("deeplab", (None, 2.0, 0.5)), ("unet", (4.0, 1.5, None)),
    ]  # fmt: skip
    assert table.rows[0].bundle == "ab" * 6


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", timings(ms_per_case={"onnx": "x"}), timings(ms_per_case={"onnx": -1}), timings(threads="two"),
     timings(ms_per_case={"onnx": float("nan")}), timings(ms_per_case={"other": 1.0}), "[" * 5000, "x" * 70000],
)  # fmt: skip
def test_what_is_no_timing_is_left_out(tmp_path, content):
    file = runtime_timings(tmp_path, "unet")
    file.parent.mkdir()
    file.write_text(content)
    assert runtime_table(tmp_path, ["unet"]) is None


def test_an_audited_arm_may_have_any_name(tmp_path):
    assert runtime_table(tmp_path, ["product A", "../b"]) is None
    assert page_links(tmp_path, "product A", ["case"]) == {}


def test_pages_that_are_there_are_linked(tmp_path):
    file = example_page(tmp_path, "unet", "a b/c")
    file.parent.mkdir(parents=True)
    file.write_text("page")
    example_page(tmp_path, "unet", "linked").symlink_to("/etc/passwd")
    links = page_links(tmp_path, "unet", ["a b/c", "linked", "missing"])
    assert links == {"a b/c": f"pages/unet/{file.name}"}
    assert page_links(tmp_path, None, ["a b/c"]) == {}
