"""What is said of tied arms: what was shown first, and of every other pair that nothing was."""

import pytest

from equipoise.report.text.tied_arms import tied_arms, verdicts_of_pairs

NEITHER = "the data do not show which of"


@pytest.mark.parametrize(
    ("equivalent", "better", "words"),
    [
        ([], [], "The data do not show which of a, b and c is better, nor that they are equivalent"),
        ([("a", "b"), ("a", "c")], [], f"are equivalent within the margin; {NEITHER} b and c is better, nor that"),
        ([("a", "b"), ("a", "c")], [("b", "c")], "a and c are equivalent within the margin, and b is better than c"),
        ([], [("b", "c")], "b is better than c; of the other 2 pairs of a, b and c the data show neither which"),
    ],
)
def test_every_pair_is_told(equivalent: list[tuple[str, str]], better: list[tuple[str, str]], words: str) -> None:
    assert words in tied_arms(["a", "b", "c"], False, equivalent, better)


def test_many_pairs_are_counted() -> None:
    assert verdicts_of_pairs([("a", str(n)) for n in range(4)], ()) == "4 pairs are equivalent"
    assert verdicts_of_pairs((), ()) == ""
    assert tied_arms(["a", "b"], True, [("a", "b")]) == "a and b are equivalent within the margin"
