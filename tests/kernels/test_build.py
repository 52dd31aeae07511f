import ctypes

import pytest

from equipoise.errors import EquipoiseError
from equipoise.kernels import build as native

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
