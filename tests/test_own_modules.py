"""The modules of the user's own behind a name: those that it imports too, found without running any of them."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise import own_modules
from equipoise.errors import LedgerError, PredictionError
from equipoise.own_files import is_own_file
from equipoise.own_modules import (
    hashes_of,
    late_hashes,
    loaded_modules,
    modules_behind,
    own_hashes,
    place_of,
    refuse_changed_modules,
)
from equipoise.runfolder.own_code import MODULES, check_code, refuse_other_modules

FILES = {
    "behind_net.py": "import numpy, torch\nfrom behind_helper import K\nimport behind_pack.part\nraise SystemExit\n",
    "behind_helper.py": "def f():\n    from behind_deep import x\n",
    "behind_deep.py": "import behind_net\nx = 1\n",
    "behind_pack/__init__.py": "",
    "behind_pack/part.py": "from . import sibling\nfrom .other import thing\nfrom ..above import nothing\n",
    "behind_pack/sibling.py": "",
    "behind_pack/other.py": "thing = (",
    "behind_unused.py": "",
    "json.py": "raise SystemExit",
}
ALL = {f"behind_{name}" for name in ("net", "helper", "deep", "pack", "pack.part", "pack.sibling", "pack.other")}


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_imports_are_followed_through_files_that_never_run(folder):
    modules = modules_behind(["behind_net:Net", "equipoise.models:UNet", "no_such_module:x", "json:x"], folder)
    assert set(modules) == ALL
    assert not any(name.startswith("behind_") for name in sys.modules)
    sums = {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in modules.items()}
    assert hashes_of(modules) == own_hashes(["behind_net:Net"], folder) == sums


def test_what_is_installed_is_nobodys_own():
    import numpy

    assert not any(map(is_own_file, (numpy.__file__, json_file(), own_modules.__file__)))
    assert is_own_file(__file__)


def json_file():
    import json

    return json.__file__


def test_a_process_that_is_no_worker_tells_nothing_of_what_it_has_loaded():
    assert late_hashes({}, None) == {}


@pytest.mark.long
def test_loaded_modules_are_those_of_the_user(folder):
    script = (
        "import sys, json, numpy\n"
        f"sys.path.append({str(folder)!r})\n"
        "import importlib, behind_pack.sibling\n"
        "importlib.import_module('behind_unused')\n"
        "from equipoise.own_modules import loaded_modules\n"
        "print(sorted(loaded_modules()))\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "['behind_pack', 'behind_pack.sibling', 'behind_unused']\n"
    assert "equipoise.own_modules" not in loaded_modules()


def test_a_changed_or_missing_helper_is_refused_by_its_file(folder):
    recorded = own_hashes(["behind_net:Net"], folder)
    refuse_changed_modules(recorded, folder, "the plan was locked")
    (folder / "behind_helper.py").write_text("K = 2\n")
    with pytest.raises(LedgerError, match=r"behind_helper\.py \(module 'behind_helper'\) has changed since the plan"):
        refuse_changed_modules(recorded, folder, "the plan was locked")
    (folder / "behind_helper.py").unlink()
    with pytest.raises(LedgerError, match="the module 'behind_helper' is missing since the plan was locked"):
        refuse_changed_modules(recorded, folder, "the plan was locked")


def test_a_lock_is_compared_with_what_is_there_now(folder):
    locked = {MODULES: own_hashes(["behind_net:Net"], folder)}
    refuse_other_modules({}, {}, folder, Path("run"))  # of an earlier version
    refuse_other_modules(locked, locked, folder, Path("run"))
    refuse_other_modules(locked, {}, folder, Path("run"))  # loaded by other means than import, and still the same
    more = {MODULES: locked[MODULES] | {"behind_unused": "00"}}
    with pytest.raises(LedgerError, match=r"imports .*behind_unused\.py .* which it did not when run was locked"):
        refuse_other_modules(locked, more, folder, Path("run"))
    (folder / "behind_deep.py").write_text("x = 2\n")
    with pytest.raises(LedgerError, match=r"behind_deep\.py .*changed since run was locked"):
        refuse_other_modules(locked, {MODULES: own_hashes(["behind_net:Net"], folder)}, folder, Path("run"))


def test_code_of_a_run_folder_is_refused_where_its_helper_is_another(folder):
    digest, locked = hashes_of({"n": folder / "behind_net.py"})["n"], own_hashes(["behind_net:Net"], folder)
    (folder / "behind_helper.py").write_text("import os; os._exit(9)\n")
    with pytest.raises(PredictionError, match="the module 'behind_helper', which the task 'behind_net:T' imports, is"):
        check_code("behind_net:T", "task", digest, folder, True, locked)
    check_code("behind_net:T", "task", digest, folder, True, None)  # a lock of an earlier version


def test_a_file_without_a_module_is_named_by_its_place_and_refused_where_it_changed(folder):
    (folder / "sub").mkdir()
    (folder / "sub" / "table.py").write_text("x = 1")
    (folder / "behind_lib.zip").write_bytes(b"PK")
    files = {place_of(file, folder): file for file in (folder / "sub" / "table.py", folder / "behind_lib.zip")}
    assert set(files) == {"sub/table.py", "./behind_lib.zip"}
    recorded = hashes_of(files)
    refuse_changed_modules(recorded, folder, "the plan was locked")
    refuse_other_modules({MODULES: recorded}, {}, folder, Path("run"))
    refuse_other_modules({MODULES: {}}, {MODULES: recorded}, folder, Path("run"))
    (folder / "behind_lib.zip").write_bytes(b"PK2")
    with pytest.raises(LedgerError, match=r"behind_lib\.zip \(file './behind_lib.zip'\) has changed since the plan"):
        refuse_changed_modules(recorded, folder, "the plan was locked")
    (folder / "behind_lib.zip").unlink()
    with pytest.raises(LedgerError, match="the file './behind_lib.zip' is missing since the plan was locked"):
        refuse_changed_modules(recorded, folder, "the plan was locked")
