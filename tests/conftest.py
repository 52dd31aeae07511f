"""What every test may ask for."""

import hashlib
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import hypothesis
import pytest

# an example may take as long as the machine needs: a deadline by the clock measures what else runs on it
hypothesis.settings.register_profile("no-clock", deadline=None)
hypothesis.settings.load_profile("no-clock")
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
        self.index: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def running(self) -> list[int]:
        return [] if self.index is None else [self.index]

    def run(self, function: str, arguments: Sequence[Any], tick: Callable[[], None]) -> Iterator[tuple[int, Any]]:
        """Call the function named "module:function" on every argument, one after another."""
        from equipoise.engines.local import Failure

        module, _, name = function.partition(":")
        call = getattr(importlib.import_module(module), name)
        for index, argument in enumerate(arguments):
            self.index = index
            tick()
            try:
                yield index, call(argument)
            except Exception as error:
                yield index, Failure(type(error).__name__, str(error))


@contextmanager
def jobs_in_this_process() -> Iterator[None]:
    """Within it, trials train in the process that runs them."""
    from equipoise.engines import local
    from equipoise.trials import measure, run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "Workers", _InThisProcess)
        # A broken kernel of this machine would end the tests; test_sound_layers tries layers in processes of their own.
        for module in (run, measure):
            patch.setattr(module, "unsound_layers", lambda _trial, _workers: [])
        yield


@pytest.fixture(scope="module")
def in_this_process() -> Iterator[None]:
    """Trials of this module run their jobs in the process of the tests."""
    with jobs_in_this_process():
        yield


@pytest.fixture
def jobs_here() -> Iterator[None]:
    """Trials of this test run their jobs in the process of the tests."""
    with jobs_in_this_process():
        yield


@contextmanager
def _openings_of(name: str) -> Iterator[None]:
    """Within it, trials of this process know no opening of the test set but those made within."""
    from equipoise.runfolder import registry_file

    place = Path(os.environ["EQUIPOISE_CACHE"]) / "openings" / hashlib.sha256(name.encode()).hexdigest()[:16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry_file, "cache_folder", lambda: place)
        yield


@pytest.fixture(scope="module", autouse=True)
def openings_of_this_module(request: pytest.FixtureRequest) -> Iterator[None]:
    """Trials that a module's tests share are the first on their phantoms, whatever other modules have opened."""
    with _openings_of(request.node.nodeid):
        yield


@pytest.fixture(autouse=True)
def openings_of_this_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """A trial of one test is no further look at the phantoms of another."""
    with _openings_of(request.node.nodeid):
        yield


@pytest.fixture(scope="session")
def without_times() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A function that gives results.json without what depends on the clock: costs, and advice that rests on latency."""

    def strip(results: dict[str, Any]) -> dict[str, Any]:
        stripped: dict[str, Any] = json.loads(json.dumps(results))
        for entry in (*stripped["arms"], *stripped["untuned"], *stripped["baselines"]):
            entry.pop("cost")
        stripped.pop("recommendation")
        return stripped

    return strip


SHARED_TRIALS = Path(__file__).resolve().parent / "shared_trials"


@dataclass(frozen=True)
class SharedTrial:
    """A finished trial that all tests of a session look at, whichever process they run in; nobody may change it.

    Attributes:
        folder: its protocol and the modules that the protocol names; the run folder is `run` in it.
    """

    folder: Path

    @property
    def protocol(self) -> Path:
        """The protocol's file."""
        return self.folder / "protocol.toml"

    @property
    def run(self) -> Path:
        """The run folder."""
        return self.folder / "run"

    @property
    def cache(self) -> Path:
        """What the trial wrote into the user's cache."""
        return self.folder / "cache"

    @property
    def printed(self) -> str:
        """What `equipoise run` wrote to the terminal."""
        return (self.folder / "printed.txt").read_text(encoding="utf-8")

    @property
    def results(self) -> dict[str, Any]:
        """Its results.json, read anew."""
        results: dict[str, Any] = json.loads((self.run / "results.json").read_text(encoding="utf-8"))
        return results

    def copy(self, place: Path) -> "SharedTrial":
        """The same trial in a folder of one's own, to change or to go on with."""
        return SharedTrial(Path(shutil.copytree(self.folder, place)))


def _carry_out(folder: Path) -> None:
    """Run the protocol in `folder` as a user does, in processes of its own."""
    command = [sys.executable, "-m", "equipoise", "run", "protocol.toml", "--out", "run", "--quiet"]
    places = os.pathsep.join(sys.path)
    environment = dict(os.environ, PYTHONPATH=places, EQUIPOISE_CACHE=str(folder / "cache"))
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (folder / "printed.txt").write_text(ended.stdout, encoding="utf-8")


def _carry_out_here(folder: Path) -> None:
    """Run the protocol in `folder` in this process, which has loaded torch already."""
    from equipoise import run

    with jobs_in_this_process(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EQUIPOISE_CACHE", str(folder / "cache"))
        run(folder / "protocol.toml", folder / "run")


def _shared(
    name: str, modules: Sequence[str], carry_out: Callable[[Path], None], factory: pytest.TempPathFactory
) -> SharedTrial:
    """The trial of that name; the first process that asks carries it out, the others wait for it."""
    import fcntl  # not in the head: Windows has none, and the other tests do not need it

    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # one folder above those of the processes
        base = base.parent
    place = base / "shared-trials"
    place.mkdir(exist_ok=True)
    folder = place / name
    with (place / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            draft = place / f"{name}-draft"  # what a failed attempt left is begun anew
            shutil.rmtree(draft, ignore_errors=True)
            draft.mkdir()
            shutil.copy(SHARED_TRIALS / f"{name}.toml", draft / "protocol.toml")
            for module in modules:
                shutil.copy(SHARED_TRIALS / module, draft)
            carry_out(draft)
            draft.rename(folder)
    return SharedTrial(folder)


@pytest.fixture(scope="session")
def classification_trial(tmp_path_factory: pytest.TempPathFactory) -> SharedTrial:
    """Two classifiers, one of one's own, with three seeds each, run by the command in processes of its own."""
    return _shared("classification", ["nets_for_trial.py"], _carry_out, tmp_path_factory)


@pytest.fixture(scope="session")
def segmentation_trial(tmp_path_factory: pytest.TempPathFactory) -> SharedTrial:
    """A segmenter of squares in 2D that learns, with two seeds."""
    return _shared("segmentation", ["squares_for_trial.py"], _carry_out_here, tmp_path_factory)


@pytest.fixture(scope="session")
def detection_trial(tmp_path_factory: pytest.TempPathFactory) -> SharedTrial:
    """A detector of discs in 2D that learns, with three seeds."""
    return _shared("detection", [], _carry_out_here, tmp_path_factory)


@pytest.hookimpl(tryfirst=True)  # before -m chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever asks for a trial of the session needs a whole trial."""
    for item in items:
        if any(name.endswith("_trial") for name in getattr(item, "fixturenames", ())):
            item.add_marker("trial")


EXAMPLE_DATA = {
    "pneumonia": ("medmnist", "pneumoniamnist/pneumoniamnist_rebuilt.npz"),
    "adrenal": ("medmnist", "adrenalmnist3d/adrenalmnist3d.npz"),
    "hippocampus": ("decathlon", "msd_hippocampus"),
    "lidc-nodules2d": ("arrays", "lidc_nodules2d/lidc_nodules2d_dev.npz"),
    "cheng-segmentation": ("arrays", "cheng_t1c_128/cheng_brain_t1c_128_dev.npz"),
    "cheng-detection": ("arrays", "cheng_t1c_128/cheng_brain_t1c_128_dev.npz"),
    "cheng-split": ("arrays", "cheng_t1c_128/cheng_brain_t1c_128_dev.npz"),
    "brats-pair": ("brats_pair:cohort", "brats"),
}
"""The source and the path of the examples' data in the folder of real images."""


def _of_data(text: str, name: str, data: Path) -> str:
    """The text of an example with the path of its data: where it says public:NAME, the reader and a path."""
    source, path = EXAMPLE_DATA[name]
    if not (data / path).exists():
        pytest.skip(f"{path} is not in the folder of real images, {data}")
    text = re.sub(r'\npath = "[^"]+"', "", text)
    return re.sub(r'\nsource = "[^"]+"', f'\nsource = "{source}"\npath = "{data / path}"', text)


@pytest.fixture(scope="session")
def of_data() -> Callable[[str, str, Path], str]:
    """A function of an example's text, its name and the folder of real images that gives the text with its data."""
    return _of_data


@pytest.fixture
def killed_and_resumed_ends_in_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Path], None]:
    """A function that trains a job twice, once killed after its first epoch and resumed, and compares the weights.

    It takes the job and a folder for the training that nobody disturbs.
    """

    def compare(job: Any, undisturbed: Path) -> None:
        from safetensors.torch import load_file

        from equipoise.training.loop import train as train_module

        other = replace(job, folder=undisturbed)
        assert train_module.train(other)["status"] == "finished"
        real, calls = train_module.train_epoch, []

        def stops(*arguments: Any) -> Any:
            if calls:
                raise KeyboardInterrupt
            calls.append(1)
            return real(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(train_module, "train_epoch", stops)
            with pytest.raises(KeyboardInterrupt):
                train_module.train(job)
        assert train_module.train(job)["status"] == "finished"
        a, b = load_file(job.weights_file), load_file(other.weights_file)
        assert all((a[name] == b[name]).all() for name in b)
        assert json.loads(job.done_file.read_text())["chosen_epoch"] is not None

    return compare
