"""What a protocol states of its split."""

import pytest

from equipoise.errors import ProtocolError
from equipoise.protocol import Protocol, SplitSection

TEXT = '[cohort]\nsource = "phantom"\n[split]\n{split}\n[[arms]]\nname = "a"\nmodel = "unet"\n'


def test_a_plan_without_a_reason_for_reuse_keeps_its_hash() -> None:
    plain, empty, reason = (
        Protocol.parse(TEXT.format(split=split)) for split in ("", 'reuse = ""', 'reuse = "a reason in words"')
    )
    assert plain.sha256() == empty.sha256() != reason.sha256()
    assert plain.sha256() == Protocol.parse(TEXT.format(split="not_leaks = []")).sha256()


@pytest.mark.parametrize("reason", ["  ", "because", "a\\n\\nb", "<your reason here>"])
def test_a_reason_without_words_is_refused(reason: str) -> None:
    with pytest.raises(ProtocolError, match="must state the reason in words"):
        Protocol.parse(TEXT.format(split=f'reuse = "{reason}"'))


def test_a_reason_is_one_line() -> None:
    assert SplitSection(reuse="a reason\n in  words").reuse == "a reason in words"
