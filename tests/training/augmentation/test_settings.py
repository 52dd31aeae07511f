import pytest

from equipoise.errors import ProtocolError
from equipoise.training.augmentation.settings import Augmentation


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ({"rotat": 3}, "augmentation.rotat' is unknown; did you mean"),
        ({"rotate_degrees": "15"}, "augmentation.rotate_degrees = '15' is not allowed"),
        ({"rotate_degrees": 200}, "a number from 0 to 180"),
        ({"rotate_degrees": True}, "a number from 0 to 180"),
        ({"flip": "horizontal"}, "is a list of horizontal, vertical"),
        ({"flip": ["depth"]}, "is a list of horizontal, vertical"),
        ({"flip": [1]}, "is a list of horizontal, vertical"),
        ({"flip": [["horizontal"]]}, "is a list of horizontal, vertical"),
        ({"scale": [1.1, 0.9]}, "low <= high"),
        ({"scale": 1.1}, "two factors"),
        ({"gamma": [0.0, 1.0]}, "0 < low"),
        ({"contrast": [True, 2]}, "two factors"),
        ({"contrast": "12"}, "two factors"),
        ({"elastic": 0.2}, "a number from 0 to 0.1"),
        ({"noise": -0.1}, "augmentation.noise = -0.1 is not allowed: a number from 0 to 3"),
        ({"noise": float("nan")}, "augmentation.noise = nan is not allowed"),
        ({"cutout": 1.5}, "a number from 0 to 1"),
        (
            {"noise": 0.1, "probability": {"blur": 0.1}},
            "probability names 'blur', which is not a step of this protocol",
        ),
        ({"probability": {"blur": 0.1}}, "set the step first"),
        ({"flip": ["vertical"], "probability": {"flip": 0.1}}, "names 'flip'"),
        ({"noise": 0.1, "probability": {"noise": 1.1}}, "a number from 0 to 1, or a table"),
        ({"noise": 0.1, "probability": "half"}, "a number from 0 to 1, or a table"),
        ({"probability": "half"}, "a number from 0 to 1, or a table"),
    ],
)
def test_bad_settings_get_one_sentence(table, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        Augmentation.from_settings(table, 2)


def test_settings_are_read():
    table = {"rotate_degrees": 15, "flip": ["horizontal"], "scale": [0.9, 1.1]}
    assert Augmentation.from_settings(table, 2) == Augmentation(15.0, ("horizontal",), (0.9, 1.1))
    assert Augmentation.from_settings({"flip": ["depth"]}, 3).flip == ("depth",)


def test_probability_is_one_number_or_a_table():
    steps = {"noise": 0.1, "blur": 1, "flip": ["horizontal"]}
    assert Augmentation.from_settings(steps | {"probability": 0.3}, 2).probability == {"blur": 0.3, "noise": 0.3}
    assert Augmentation.from_settings(steps | {"probability": {"noise": 0.2}}, 2).probability == {"noise": 0.2}


def test_identity_means_that_nothing_would_change():
    assert Augmentation.from_settings({}, 2).identity
    assert Augmentation.from_settings({"noise": 0, "scale": [1, 1], "flip": []}, 2).identity
    assert Augmentation.from_settings({"noise": 0.5, "probability": 0}, 2).identity
    assert not Augmentation.from_settings({"noise": 0.5, "flip": ["vertical"], "probability": 0}, 2).identity
    assert not Augmentation.from_settings({"cutout": 0.5}, 2).identity


def test_steps_stand_in_the_order_in_which_they_happen():
    assert Augmentation(noise=0.1, elastic=0.1, gamma=(0.5, 2.0)).steps == ("elastic", "gamma", "noise")
