"""What ends a job from outside is told from a failure of its arm, after a second chance."""

from types import SimpleNamespace

import pytest

from equipoise.engines.jobs import OUT_OF_MEMORY, interrupted, run_jobs
from equipoise.engines.local import DIED, KILLED, Failure


class Workers:
    """Answers each job with the next of its results."""

    def __init__(self, results):
        self.results = {name: list(values) for name, values in results.items()}

    def run(self, function, jobs, tick):
        for index, job in enumerate(jobs):
            yield index, self.results[job.name].pop(0)


def ends(results):
    jobs = [SimpleNamespace(name=name, arm=SimpleNamespace(name=name.partition("/")[0])) for name in results]
    return {job.name: result for job, result in run_jobs(Workers(results), "f", jobs, lambda: None)}


@pytest.mark.parametrize("kind", [KILLED, OUT_OF_MEMORY])
def test_what_the_machine_lacks_is_an_interruption(kind):
    (result,) = ends({"net/0-1": [Failure(kind, "it ended"), Failure(kind, "it ended")]}).values()
    assert interrupted(result)
    assert str(result) == "arm 'net': it ended in job net/0-1"


def test_a_crash_names_arm_job_and_signal_and_is_no_interruption():
    crash = Failure(DIED, "the worker crashed (segmentation fault in a native library)")
    (result,) = ends({"net/0-1": [crash, crash]}).values()
    assert not interrupted(result)
    text = "arm 'net': the worker crashed (segmentation fault in a native library) in job net/0-1"
    assert str(result) == text


def test_a_second_chance_may_succeed_and_a_result_is_never_an_interruption():
    results = ends({"a/0-0": [Failure(DIED, "x"), {"status": "finished"}], "b/0-0": [{"status": "failed"}]})
    assert results == {"a/0-0": {"status": "finished"}, "b/0-0": {"status": "failed"}}
    assert not any(map(interrupted, results.values()))


def test_a_full_disk_is_raised():
    with pytest.raises(OSError, match="No space"):
        ends({"a/0-0": [Failure("OSError", "No space left on device")]})
