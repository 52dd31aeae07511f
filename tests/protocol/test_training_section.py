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
    ],
)
def test_what_is_not_allowed_is_told_in_one_sentence(training, sentence):
    with pytest.raises(ProtocolError) as caught:
        parsed(training)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("training", ["mixup = 0.2", 'sampling = "balanced"'])
def test_what_needs_labels_is_refused_for_masks(training):
    assert parsed(training)
    with pytest.raises(ProtocolError, match="segmentation has none"):
        parsed(training, cohort='task = "segmentation"')


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
