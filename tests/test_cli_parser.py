"""Wrong usage is told in one line with what to write."""

import pytest

from equipoise import cli
from equipoise.cli_parser import decimal


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        (["audit", "a.csv", "--margin", "0,05"], "argument --margin: '0,05' is not a number; write 0.05"),
        (["audit", "a.csv", "--margin", "x"], "argument --margin: 'x' is not a number; write one, as 0.05"),
        (["samplesize", "run", "--difference", ",5"], "argument --difference: ',5' is not a number; write .5"),
        (["audit", "a.csv", "--positive", "keine", "Pneumonie"], "unrecognized arguments: Pneumonie; put a name with"),
        (["rum"], "invalid choice"),
    ],
)
def test_wrong_usage_is_one_line(typed: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(typed)
    assert end.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert complaint.startswith("equipoise")
    assert told in complaint
    assert "--help)" in complaint


def test_numbers_are_read_as_python_reads_them() -> None:
    assert [decimal(one) for one in ("0.05", "1e-3", " 2 ", "-.5")] == [0.05, 0.001, 2.0, -0.5]
