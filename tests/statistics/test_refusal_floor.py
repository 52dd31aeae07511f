from equipoise.statistics.endpoints import ACCURACY, AUC, DICE
from equipoise.statistics.refusal_floor import fewest_patients


def test_ten_patients_of_the_rarer_class() -> None:
    assert fewest_patients(AUC, 150, 300, 10) == 150
    assert fewest_patients(AUC, 150, 300, 75) == 20


def test_thirty_segmented_cases() -> None:
    assert fewest_patients(DICE, 50, 100) == 15
    assert fewest_patients(DICE, 50, 50) == 30


def test_ten_patients_in_any_case() -> None:
    assert fewest_patients(ACCURACY, 1_000, 1_000) == 10
    assert fewest_patients(DICE, 10, 100) == 10
