import pytest

from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol

GOOD = """
[cohort]
source = "phantom"
{cohort}
[training]
{training}
[inference]
{inference}
[[arms]]
name = "a"
model = "unet"
"""


def parsed(training="", inference="", cohort=""):
    return Protocol.parse(GOOD.format(training=training, inference=inference, cohort=cohort))


def test_a_schedule_is_a_name_or_a_table_with_its_settings():
    assert parsed().training.schedule.name == "constant"
    plain, table = parsed('schedule = "cosine"'), parsed('schedule = {name = "cosine", warm_up = 0.1}')
    assert plain.training.schedule.settings == {}
    assert table.training.schedule.settings == {"warm_up": 0.1}
    assert plain.sha256() != table.sha256()


@pytest.mark.parametrize(
    ("training", "sentence"),
    [
        ('schedule = "cosin"', "training.schedule.name = 'cosin' is not allowed: input should be 'constant'"),
        ("ema = 1.0", "training.ema = 1.0 is not allowed: input should be less than 1"),
        ("accumulate = 0", "training.accumulate = 0"),
        ("patience = 0", "training.patience = 0"),
        ("mixup = 0.0", "training.mixup = 0.0"),
        ('sampling = "even"', "training.sampling = 'even'"),
        ('sampling = "balanced"\nclass_weights = "balanced"', "would correct the class shares twice; choose one"),
        ("ema = 0.9\naverage_last = 2", "would both average the weights; leave one out"),
        ("epochs = 3\naverage_last = 4", "average_last = 4 is more than the number of epochs (3); lower it"),
        ("patience = 2\naverage_last = 4", "the last epoch is not known; leave one out"),
        ("gradient_checkpointing = true\ncompile = true", "set one of them to false"),
        ("deep_supervision = true", "classification has none; remove it"),
        ('dice = {over = "case"}', "'cross-entropy' has none; choose"),
        ('dice = {over = "patch"}', "training.dice.over = 'patch' is not allowed"),
    ],
)
def test_what_is_not_allowed_is_told_in_one_sentence(training, sentence):
    with pytest.raises(ProtocolError) as caught:
        parsed(training)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_needs_labels_is_refused_for_masks():
    assert parsed("mixup = 0.2")
    with pytest.raises(ProtocolError, match="segmentation has none"):
        parsed("mixup = 0.2", cohort='task = "segmentation"')


MASKS = 'task = "segmentation"'


def test_a_dice_without_background_is_refused_for_regions():
    with pytest.raises(ProtocolError, match="there is no background; leave it out"):
        parsed('targets = "regions"\ndice = {background = false}', cohort=MASKS)


def test_keys_that_came_later_change_no_hash_until_they_are_stated():
    dumped = parsed(cohort=MASKS).model_dump(mode="json")["training"]
    assert not {"average_last", "deep_supervision", "gradient_checkpointing", "dice"} & set(dumped)
    plain = parsed(cohort=MASKS).sha256()
    assert parsed('dice = {over = "batch"}\ndeep_supervision = false', cohort=MASKS).sha256() == plain
    for stated in ('dice = {over = "case"}', "deep_supervision = true", "average_last = 2"):
        changed = parsed(stated, cohort=MASKS)
        assert changed.sha256() != plain
        key = stated.partition(" ")[0]
        assert key in changed.model_dump(mode="json")["training"]


def test_answers_are_mirrored_as_training_was():
    text = 'mirror = "trained"\n[augmentation]\nflip = ["vertical"]'
    protocol = parsed(inference=text)
    assert protocol.inference.mirror == ("vertical",)
    assert protocol.sha256() == parsed(inference=text.replace('"trained"', '["vertical"]')).sha256()
    with pytest.raises(ProtocolError, match=r"augmentation\.flip names no axis"):
        parsed(inference='mirror = "trained"')


@pytest.mark.parametrize(
    ("mirror", "axes"),
    [("false", ()), ("true", (0, 1, 2)), ('["horizontal"]', (2,)), ('["horizontal", "depth", "horizontal"]', (0, 2))],
)
def test_mirrored_axes_are_in_array_order(mirror, axes):
    assert parsed(inference=f"mirror = {mirror}").inference.mirror_axes(3) == axes


def test_depth_needs_a_third_dimension():
    inference = parsed(inference='mirror = ["depth"]').inference
    with pytest.raises(ProtocolError, match="remove it"):
        inference.mirror_axes(2)
