from pathlib import Path

import pytest

from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol
from equipoise.protocol.study import Study, is_study

STUDY = """
[study]
name = "small"
question = "Which?"
[[study.cohorts]]
name = "first"
cohort = {source = "phantom", cases = 120, size = 16}
[[study.cohorts]]
name = "second"
cohort = {source = "phantom", path = "data"}
split = {seed = 1}
training = {epochs = 2}
[[study.models]]
name = "net"
model = "unet"
[[study.models]]
name = "wide"
model = {name = "unet", preset = "small"}
[[study.optimizers]]
name = "adam"
optimizer = "adam"
[[study.optimizers]]
name = "sgd"
optimizer = {name = "sgd", lr = 0.1}
space = {optimizer.lr = {log = [0.01, 1.0]}}
[split]
fractions = [0.6, 0.15, 0.25]
[training]
epochs = 3
seeds = [0, 1]
[tuning]
draws = 2
"""


def write(folder: Path, text: str = STUDY) -> Path:
    (folder / "study.toml").write_text(text)
    return folder / "study.toml"


def test_every_cohort_is_crossed_with_every_model(tmp_path) -> None:
    trials = Study.load(write(tmp_path)).trials(tmp_path)
    assert list(trials) == [("first", "net"), ("first", "wide"), ("second", "net"), ("second", "wide")]
    second = trials["second", "wide"]
    assert second.trial.name == "second-wide"
    assert [arm.name for arm in second.arms] == ["adam", "sgd"]
    assert all(arm.model.settings == {"preset": "small"} for arm in second.arms)
    assert list(second.arms[1].space.dimensions()) == ["optimizer.lr"]
    assert second.cohort_path == tmp_path / "data"
    assert second.tuning is not None
    assert second.tuning.draws == 2


def test_a_cohort_replaces_keys_of_the_shared_tables_and_keeps_the_others(tmp_path) -> None:
    trials = Study.load(write(tmp_path)).trials(tmp_path)
    first, second = trials["first", "net"], trials["second", "net"]
    assert (first.training.epochs, second.training.epochs) == (3, 2)
    assert first.training.seeds == second.training.seeds == (0, 1)
    assert (first.split.seed, second.split.seed) == (0, 1)
    assert second.split.fractions == (0.6, 0.15, 0.25)


@pytest.mark.long
def test_the_hash_is_that_of_the_plans(tmp_path) -> None:
    one = Study.load(write(tmp_path))
    assert Study.load(write(tmp_path, "# a comment\n" + STUDY)).sha256() == one.sha256()
    assert Study.load(write(tmp_path, STUDY.replace("draws = 2", "draws = 3"))).sha256() != one.sha256()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('name = "wide"', 'name = "net"'), "the name 'net' is used twice"),
        (("[study]", "[stduy]"), "'stduy' is unknown; did you mean 'study'"),
        (('model = "unet"', 'modle = "unet"'), "modle' is unknown; did you mean 'model'"),
        (
            ("epochs = 3", "epoch = 3"),
            "the trial first-net: the key 'training.epoch' is unknown; did you mean 'epochs'",
        ),
        (("draws = 2", "draws = 0"), "the trial first-net: tuning.draws = 0 is not allowed"),
        (('name = "first"', 'name = "../first"'), "should match pattern"),
        (("[study]", "[study"), "is not valid TOML"),
    ],
)
def test_a_study_that_cannot_be_gets_one_sentence(tmp_path, change, sentence) -> None:
    text = STUDY.replace(*change)
    assert text != STUDY
    with pytest.raises(ProtocolError, match=sentence) as caught:
        Study.load(write(tmp_path, text)).trials(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_study_is_told_from_a_protocol(tmp_path) -> None:
    study = write(tmp_path)
    protocol = tmp_path / "protocol.toml"
    protocol.write_text('[cohort]\nsource = "phantom"\n[[arms]]\nname = "a"\nmodel = "unet"\n')
    assert is_study(study)
    assert not is_study(protocol)
    assert not is_study(tmp_path / "none.toml")
    with pytest.raises(ProtocolError, match="is a study of many trials, not one protocol; run it with `equipoise run`"):
        Protocol.load(study)


@pytest.mark.long
def test_a_stated_correction_divides_alpha_by_the_number_of_trials(tmp_path) -> None:
    plain = Study.load(write(tmp_path))
    corrected = Study.load(
        write(tmp_path, STUDY.replace('name = "small"', 'name = "small"\ncorrection = "bonferroni"'))
    )
    assert {one.endpoints.alpha for one in plain.trials(tmp_path).values()} == {0.05}
    assert {one.endpoints.alpha for one in corrected.trials(tmp_path).values()} == {0.05 / 4}
    own = STUDY.replace('name = "small"', 'correction = "bonferroni"') + "[endpoints]\nalpha = 0.2\n"
    assert {one.endpoints.alpha for one in Study.load(write(tmp_path, own)).trials(tmp_path).values()} == {0.05}
    assert plain.sha256() != corrected.sha256()
