import json
import os
from pathlib import Path

import numpy as np

from equipoise.report.pages.attribution_maps import read_maps


def write(folder, **checks):
    np.savez(folder / "attributions.npz", c1=np.full((8, 9, 3), 7, np.uint8))
    (folder / "attributions.json").write_text(json.dumps(checks))


def test_maps_are_shown_with_their_check(tmp_path):
    write(tmp_path, depends_on_weights=True, likeness=0.12, gap=0.01)
    assert read_maps(tmp_path, ["attributions.json"]).words.endswith("ledger.jsonl holds no hash of attributions.json.")
    maps = read_maps(tmp_path)
    assert list(maps.pictures) == ["c1"]
    assert maps.pictures["c1"].startswith("data:image/png")
    assert "correlation 0.12" in maps.words


def test_maps_that_do_not_depend_on_the_weights_are_not_shown(tmp_path):
    write(tmp_path, depends_on_weights=False, likeness=0.93, gap=0.01)
    maps = read_maps(tmp_path)
    assert not maps.pictures
    assert "0.93" in maps.words


def test_no_maps_a_failure_and_a_spoilt_file_are_told_apart(tmp_path):
    assert read_maps(tmp_path).words == ""
    assert read_maps(Path(os.devnull)).words == "", "an audit has no folder"
    write(tmp_path, failed="RuntimeError: no gradient")
    assert "no gradient" in read_maps(tmp_path).words
    write(tmp_path, depends_on_weights=True, likeness=0.1)
    (tmp_path / "attributions.npz").write_bytes(b"spoilt")
    assert "cannot be read" in read_maps(tmp_path).words
