import hashlib
import shutil
import sys
import types

import pytest

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.lookup import imported, nearest, resolve, source_hash

package = types.ModuleType("package")
package.__all__ = ["DenseNet", "adaptive_momentum"]
package.DenseNet = dict
package.adaptive_momentum = list


@pytest.mark.parametrize("name", ["densenet", "DenseNet", "dense-net", "dense_net"])
def test_a_built_in_name_is_found_however_it_is_written(name):
    assert resolve(name, package, "model") is dict


def test_an_unknown_name_gets_the_nearest_spelling():
    with pytest.raises(ProtocolError, match=r"model 'densnet' is unknown; did you mean 'densenet'\?"):
        resolve("densnet", package, "model")


def test_suggestions_are_spelled_as_the_catalogue_spells_them():
    with pytest.raises(ProtocolError, match=r"did you mean 'adaptive-momentum'\? allowed: densenet, adaptive-momentum"):
        resolve("adaptive-momentun", package, "optimizer")


def test_nothing_near_lists_all():
    assert nearest("zzz", ["a", "b"]) == "allowed: a, b"


def test_own_code_beside_the_protocol(tmp_path):
    file = tmp_path / "my_nets_for_naming.py"
    file.write_text("def Net():\n    return 7\n")
    found = resolve("my_nets_for_naming:Net", package, "model", tmp_path)
    assert found() == 7
    assert source_hash("my_nets_for_naming:Net", found) == hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ProtocolError, match="did you mean 'Net'"):
        resolve("my_nets_for_naming:Nett", package, "model", tmp_path)


def test_a_module_loaded_from_another_folder_is_no_substitute_for_the_one_beside_the_protocol(tmp_path):
    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
        (folder / "namesake.py").write_text(f"PLACE = {folder.name!r}\n")
    try:
        assert imported("namesake:PLACE", "model", folders[0]) == "first"
        assert imported("namesake:PLACE", "model", folders[0]) == "first"
        with pytest.raises(EquipoiseError, match=r"loaded namesake from .*first.*second.* start a new Python process"):
            imported("namesake:PLACE", "model", folders[1])
        assert imported("namesake:PLACE", "model", tmp_path) == "first", "nothing of that name lies there"
        shutil.copy(folders[0] / "namesake.py", folders[1])
        assert imported("namesake:PLACE", "model", folders[1]) == "first", "a copy is the same code"
        (folders[0] / "namesake.py").write_text("PLACE = 'other'\n")
        with pytest.raises(EquipoiseError, match=r"first.namesake.py was changed after .* start a new Python process"):
            imported("namesake:PLACE", "model", folders[0])
        (folders[0] / "namesake.py").unlink()
        assert imported("namesake:PLACE", "model", folders[1]) == "first", "so is what was moved"
        assert imported("namesake:PLACE", "model", folders[1]) == "first", "the second time, too"
    finally:
        sys.modules.pop("namesake", None)
        sys.path[:] = [place for place in sys.path if place not in map(str, (*folders, tmp_path))]


def test_missing_module_says_where_to_put_it():
    with pytest.raises(ProtocolError, match="not_there_at_all is missing; put it beside the protocol"):
        resolve("not_there_at_all:Net", package, "model")


def test_built_in_names_have_no_source_hash():
    assert source_hash("densenet", dict) is None
    assert source_hash("builtins:dict", dict) is None


def test_a_misspelt_attribute_is_shown_what_its_module_defines_and_not_what_it_imports(tmp_path, monkeypatch):
    text = "import json\nfrom pathlib import Path\n\nclass TinySE:\n    pass\n\ndef rule():\n    pass\n"
    (tmp_path / "nets_for_lookup.py").write_text(text)
    monkeypatch.setattr(sys, "path", [*sys.path])
    with pytest.raises(ProtocolError, match=r"did you mean 'TinySE'\? allowed: TinySE, rule$"):
        imported("nets_for_lookup:TinySe", "model", tmp_path)
