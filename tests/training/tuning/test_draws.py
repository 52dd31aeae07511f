from pathlib import Path

import pytest

from equipoise.protocol import Protocol
from equipoise.testing.phantoms.cases import phantom
from equipoise.training.preparation.staging import plan_jobs
from equipoise.training.tuning.draws import choose, describe_tuning, draw_jobs, plan_draws, tuned_jobs

TEXT = """
[cohort]
source = "phantom"
[training]
epochs = 5
seeds = [3, 4]
[[arms]]
name = "a"
model = "unet"
[[arms]]
name = "b"
model = "unet"
optimizer = {name = "sgd", lr = 0.5}
[tuning]
draws = 3
epochs = 2
"""


@pytest.fixture
def protocol() -> Protocol:
    return Protocol.parse(TEXT)


def jobs_of(protocol: Protocol, folder: Path, folds: int = 2):
    return plan_jobs(protocol, phantom(cases=20, size=16), folds, folder)


def end(job, value: float, status: str = "finished") -> None:
    job.folder.mkdir(parents=True)
    (job.folder / "history.csv").write_text(f"epoch,validation_loss,validation_auc\n1,9,0.1\n2,{value},{1 - value}\n")
    job.write_end(status=status, chosen_epoch=2, reason=None)


def test_every_arm_gets_every_draw_in_every_fold_before_anyone_gets_the_next(protocol, tmp_path) -> None:
    draws = draw_jobs(protocol, jobs_of(protocol, tmp_path), plan_draws(protocol))
    assert len(draws) == 3 * 2 * 2
    assert [job.draw for job in draws] == [0] * 4 + [1] * 4 + [2] * 4
    assert {job.name for job in draws[:4]} == {"a/draws/0-0", "a/draws/1-0", "b/draws/0-0", "b/draws/1-0"}
    assert draws[0].folder == tmp_path / "jobs" / "a" / "draws" / "0-0"
    assert all(job.training.epochs == 2 for job in draws)
    assert len({job.arm.optimizer.settings["lr"] for job in draws if job.arm.name == "a" and job.fold == 0}) == 3


def test_the_untuned_twin_keeps_the_stated_settings_and_the_seeds(protocol, tmp_path) -> None:
    jobs = jobs_of(protocol, tmp_path, folds=1)
    twins = [job for job in jobs if job.arm.name == "b-untuned"]
    assert [job.seed for job in twins] == [3, 4]
    assert all(job.arm.optimizer.settings == {"lr": 0.5} for job in twins)
    assert all(job.training.epochs == 5 for job in twins)


def test_each_fold_gets_the_settings_that_its_own_validation_preferred(protocol, tmp_path) -> None:
    jobs, plan = jobs_of(protocol, tmp_path), plan_draws(protocol)
    draws = draw_jobs(protocol, jobs, plan)
    for job in draws:
        end(job, 0.1 if job.draw == (job.fold + (job.arm.name == "b")) % 3 else 0.5)
    choices = {(c.arm, c.fold): c.draw for c in choose(draws, plan, lower_is_better=True)}
    assert choices == {("a", 0): 0, ("a", 1): 1, ("b", 0): 1, ("b", 1): 2}
    tuned = tuned_jobs(jobs, choose(draws, plan, lower_is_better=True))
    found = {
        (job.arm.name, job.fold): job.arm.optimizer.settings["lr"]
        for job in tuned
        if "lr" in job.arm.optimizer.settings
    }
    assert found["a", 1] == plan["a"][1]["optimizer.lr"]
    assert found["b", 1] == plan["b"][2]["optimizer.lr"]
    assert found["b-untuned", 1] == 0.5


def test_a_failed_draw_is_never_chosen_and_an_arm_without_any_fails(protocol, tmp_path) -> None:
    jobs, plan = jobs_of(protocol, tmp_path, folds=1), plan_draws(protocol)
    draws = draw_jobs(protocol, jobs, plan)
    for job in draws:
        end(job, 0.1 if job.draw == 0 else 0.5, "failed" if job.arm.name == "b" or job.draw == 0 else "finished")
    a, b = choose(draws, plan, lower_is_better=True)
    assert (a.draw, a.value) == (1, 0.5)
    assert (b.draw, b.settings) == (None, {})
    tuned = tuned_jobs(jobs, [a, b])
    ends = {job.name: job.done() for job in tuned}
    assert "every draw of its tuning failed" in ends["b/0-3"]["reason"]
    assert ends["b-untuned/0-3"] is None
    assert ends["a/0-3"] is None


def test_draws_may_be_chosen_by_the_primary_endpoint(tmp_path) -> None:
    protocol = Protocol.parse(TEXT + 'select = "primary"\n')
    jobs, plan = jobs_of(protocol, tmp_path, folds=1), plan_draws(protocol)
    draws = draw_jobs(protocol, jobs, plan)
    for job in draws:
        end(job, 0.1 * (1 + (job.draw or 0)))
    assert [c.draw for c in choose(draws, plan, lower_is_better=False)] == [0, 0]
    assert choose(draws, plan, lower_is_better=False)[0].value == pytest.approx(0.9)


def test_the_lock_says_everything_that_decides_the_draws(protocol) -> None:
    plan = plan_draws(protocol)
    told = describe_tuning(protocol, plan)
    assert (told["draws"], told["epochs"], told["select"], told["equal"]) == (3, 2, "loss", True)
    assert told["arms"]["a"]["draws"] == plan["a"]
    assert told["arms"]["b"]["space"]["optimizer.lr"] == {"log": [3e-3, 1.0]}
    assert [arm["name"] for arm in told["untuned"]] == ["a-untuned", "b-untuned"]
    assert describe_tuning(Protocol.parse(TEXT.partition("[tuning]")[0]), {}) == {}
