"""Refusals: one sentence each, with the allowed values and the nearest spelling."""

import pytest
import torch

from equipoise.errors import EquipoiseError
from equipoise.models import DeepLab, DenseNet, LateFusion, UNet
from equipoise.models.settings import check_counts, check_input, check_probability, choose

EVERY = [UNet, DeepLab, DenseNet, LateFusion]


def one_sentence(error: pytest.ExceptionInfo[EquipoiseError]) -> bool:
    text = str(error.value)
    return text.endswith(".") and "\n" not in text and ". " not in text


@pytest.mark.parametrize("model", EVERY)
@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({"presett": "small"}, "did you mean 'preset'?"),
        ({"preset": "smal"}, "did you mean 'small'?"),
        ({"task": "segment"}, "classification, segmentation"),
        ({"normalization": "layer"}, "batch, instance, group"),
        ({"activation": "rel"}, "did you mean 'relu'?"),
        ({"dropout": 1.0}, "from 0 up to but not including 1, not 1.0"),
        ({"dropout": "half"}, "not 'half'"),
    ],
    ids=str,
)
def test_bad_settings_are_refused(model: type, settings: dict[str, object], hint: str) -> None:
    with pytest.raises(EquipoiseError) as error:
        model(3, 2, 2, **settings)
    assert hint in str(error.value)
    assert one_sentence(error)


@pytest.mark.parametrize("model", EVERY)
@pytest.mark.parametrize("arguments", [(0, 2, 2), (2, 0, 2), (2, 2, 1), (2, 2, 4), (2.0, 2, 2), (2, True, 2)], ids=str)
def test_impossible_dimensions_are_refused(model: type, arguments: tuple[int, int, int]) -> None:
    with pytest.raises(EquipoiseError) as error:
        model(*arguments)
    assert one_sentence(error)


@pytest.mark.parametrize("model", EVERY)
@pytest.mark.parametrize("shape", [(2, 2, 48, 48), (2, 3, 48), (2, 3, 48, 48, 48), (2, 3, 48, 3)], ids=str)
def test_images_that_do_not_fit_are_refused(model: type, shape: tuple[int, ...]) -> None:
    network = model(3, 2, 2, preset="tiny").eval()
    with pytest.raises(EquipoiseError) as error:
        network(torch.zeros(shape))
    assert one_sentence(error)
    assert "got" in str(error.value)


def test_numbers_of_a_protocol_name_presets_too() -> None:
    assert choose(121, ["121", "169"], "preset", "densenet") == "121"


@pytest.mark.parametrize("value", [-0.1, 1, True, None, "0"])
def test_probabilities_out_of_range_are_refused(value: object) -> None:
    with pytest.raises(EquipoiseError, match="net needs dropout from 0"):
        check_probability(value, "dropout", "net")  # type: ignore[arg-type]


def test_counts_are_positive_whole_numbers() -> None:
    assert check_counts([1, 2], "channels", "net") == (1, 2)
    for value in ([], [0], [True], [1.5], 3, "12"):
        with pytest.raises(EquipoiseError, match="whole numbers above 0"):
            check_counts(value, "channels", "net")  # type: ignore[arg-type]


def test_too_small_an_image_names_size_and_remedy() -> None:
    with pytest.raises(EquipoiseError, match=r"at least 32 pixels per side but got 64x31; choose a smaller preset"):
        check_input(torch.zeros(1, 1, 64, 31), "net", 1, 2, 32)
