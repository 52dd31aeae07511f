import ctypes

import pytest
import torch

from equipoise.errors import EquipoiseError, Interrupted
from equipoise.kernels import build as native
from equipoise.kernels import normalize

needs_compiler = pytest.mark.skipif(native.compiler() is None, reason="this machine has no C compiler; set CC to one")


@pytest.fixture
def source(tmp_path):
    file = tmp_path / "small.c"
    file.write_text("int answer(void) { return ANSWER; }\n")
    return file


@needs_compiler
def test_a_file_is_built_with_its_definitions(source):
    library = native.build(source, "ANSWER=42", otherwise="do without")
    library.answer.restype = ctypes.c_int
    assert library.answer() == 42


@needs_compiler
def test_a_failing_compiler_is_quoted(source):
    with pytest.raises(EquipoiseError, match=r"could not build small\.c \(.*small\.c.*\); do without"):
        native.build(source, otherwise="do without")


def test_without_a_compiler_the_remedy_is_named(source, monkeypatch):
    monkeypatch.setenv("CC", "no-such-compiler")
    assert native.compiler() is None
    with pytest.raises(EquipoiseError, match=r"no C compiler here to build small\.c; set CC or do without"):
        native.build(source, "ANSWER=1", otherwise="do without")


def test_the_compiler_named_by_the_environment_is_taken(monkeypatch, tmp_path):
    own = tmp_path / "mine"
    own.write_text("#!/bin/sh\n")
    own.chmod(0o755)
    monkeypatch.setenv("CC", f"{own} --fast")
    assert native.compiler() == f"{own} --fast"


@needs_compiler
@pytest.mark.parametrize(
    ("end", "seen"),
    [("kill -9 $$", "rc"), ("echo 'gcc: fatal error: Killed signal terminated program cc1' >&2; exit 1", "words")],
)
@pytest.mark.parametrize("times", [2, 3])
def test_a_compiler_that_is_ended_is_run_again_and_never_done_without(source, monkeypatch, tmp_path, end, seen, times):
    """Torch's own layers round otherwise: a process that fell back on them would train another network."""
    real, tries = native.compiler(), tmp_path / "tries"
    own = tmp_path / "mine"
    own.write_text(
        f'#!/bin/sh\necho {seen} >> {tries}\n[ $(wc -l < {tries}) -le {times} ] && {{ {end}; }}\nexec {real} "$@"\n'
    )
    own.chmod(0o755)
    monkeypatch.setenv("CC", str(own))
    if times == 3:
        with pytest.raises(Interrupted, match="ended from outside"):
            native.build(source, "ANSWER=1", otherwise="do without")
        tries.unlink()
        normalize.kernel.cache_clear()
        try:
            with pytest.raises(Interrupted):
                normalize.kernel(torch.float32)
        finally:
            normalize.kernel.cache_clear()
        return
    assert native.build(source, "ANSWER=1", otherwise="do without").answer() == 1
    assert tries.read_text().split() == [seen] * 3
