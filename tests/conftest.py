"""What every test may ask for."""

import importlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("EQUIPOISE_CACHE", tempfile.mkdtemp(prefix="equipoise-tests-"))  # not the user's own
os.environ.setdefault("EQUIPOISE_CORES", "1")  # tests run side by side; each trial takes one worker


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real, openly licensed images beside the project; tests that need it skip without it."""
    folder = Path(os.environ.get("EQUIPOISE_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder}; set EQUIPOISE_DATA to their folder")
    return folder


class _InThisProcess:
    """In place of worker processes: starting those takes seconds a trial, and one test file proves them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument, one after another."""
        from equipoise.engines.local import Failure

        module, _, name = function.partition(":")
        call = getattr(importlib.import_module(module), name)
        for index, argument in enumerate(arguments):
            tick()
            try:
                yield index, call(argument)
            except Exception as error:
                yield index, Failure(type(error).__name__, str(error))


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Trials of this module run their jobs in the process of the tests."""
    from equipoise.engines import local

    patch = pytest.MonkeyPatch()
    patch.setattr(local, "Workers", _InThisProcess)
    yield
    patch.undo()
