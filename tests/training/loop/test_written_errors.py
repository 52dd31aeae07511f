"""What own code says of its errors is told on the terminal; its kind and place are written, and no name."""

import importlib
import warnings

import pytest

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.protocol import Arm, TrainingSection
from equipoise.runfolder.job import Job
from equipoise.training.loop.ending import DivergedError
from equipoise.training.loop.written_errors import in_writing, of_another_program, warnings_in_writing

SOURCE = """
from equipoise.errors import EquipoiseError

def fails(kind):
    raise kind("KANARI Doe in /data/KANARI Ann/1.png")

def chained(kind):
    try:
        fails(ValueError)
    except ValueError as error:
        raise kind("as KANARI told") from error

def called(function):
    return function()
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "own_words.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.import_module("own_words")


def job(place, *, hides=True, model="own_words:Net"):
    arm = Arm.model_validate({"name": "a", "model": model})
    training = TrainingSection(epochs=1)
    places = (place / "job", place / "samples", place)
    names = ("x", "y")
    return Job(arm, 0, 0, *places, "classification", names, 1, 2, training, {}, "auc", hides_names=hides)


def caught(call, *arguments):
    with pytest.raises(Exception) as error:
        call(*arguments)
    return error.value


@pytest.mark.parametrize("kind", [RuntimeError, KeyError, ProtocolError, EquipoiseError])
@pytest.mark.parametrize("way", ["fails", "chained"])
def test_a_text_of_own_code_is_told_and_not_written(own, tmp_path, caplog, kind, way):
    error = caught(getattr(own, way), kind)
    text = in_writing(error, job(tmp_path))
    assert text.startswith(f"{kind.__name__} at own_words.py, line {5 if way == 'fails' else 11} (its text may name")
    assert "KANARI" not in text
    assert "KANARI Doe in /data/KANARI Ann/1.png" in caplog.text
    shown = in_writing(error, job(tmp_path, hides=False))
    assert "KANARI" in shown


def test_an_error_of_ours_that_own_code_led_to_is_not_written_either(own, tmp_path):
    def ours():
        try:
            own.fails(ValueError)
        except ValueError as error:
            raise ProtocolError(f"model cannot be built: {error}") from error

    text = in_writing(caught(ours), job(tmp_path))
    assert text.startswith("ValueError at own_words.py, line 5")
    assert "KANARI" not in text


def test_what_this_package_says_is_written(own, tmp_path):
    from equipoise.training.loop.blame import named_arm

    def diverged():
        raise DivergedError("the loss is not finite in epoch 2")

    assert in_writing(caught(diverged), job(tmp_path), plain=True) == "the loss is not finite in epoch 2"

    def refused():
        with named_arm("a", "cannot train", "x"):
            raise EquipoiseError("its mask is empty")

    assert in_writing(caught(refused), job(tmp_path)) == "arm 'a': its mask is empty"


def test_what_a_library_says_loses_paths_and_quotes(tmp_path):
    error = caught(lambda: open("/data/KANARI/Doe.png"))  # noqa: PTH123, SIM115
    text = in_writing(error, job(tmp_path, model="unet"))
    assert text == "FileNotFoundError: [Errno 2] No such file or directory: '…'"


def test_warnings_of_a_job_with_own_code_have_their_kind_and_place_alone(tmp_path, caplog):
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        warnings.warn("KANARI Doe", stacklevel=1)
    (text,) = warnings_in_writing(shown, job(tmp_path))
    assert text.startswith("UserWarning at test_written_errors.py, line ")
    assert "KANARI" not in text
    assert "KANARI Doe" in caplog.text
    assert warnings_in_writing(shown, job(tmp_path, hides=False)) == ["KANARI Doe"]
    assert warnings_in_writing(shown, job(tmp_path, model="unet")) == ["KANARI Doe"], "no code but ours and libraries'"


def test_a_program_with_own_code_is_treated_alike(tmp_path):
    texts = {
        (hides, own): of_another_program(
            "nnU-Net failed", "nnU-Net failed: E: KANARI at /a/b", job(tmp_path, hides=hides), own=own
        )
        for hides in (True, False)
        for own in (True, False)
    }
    assert texts[False, True] == texts[False, False] == "nnU-Net failed: E: KANARI at /a/b"
    assert texts[True, False] == "nnU-Net failed: E: KANARI at a file"
    assert texts[True, True].startswith("nnU-Net failed (its text may name patients")
