"""A bundle is read whole and as its record says, or refused: the sabotage table."""

import hashlib
import json
import os
import re
import shutil
import zipfile

import numpy as np
import pytest
from deploy_bundles import arrays_of, change, contract_for, make_bundle, onnx_model

from equipoise.cohorts.cohort import Image
from equipoise.deploy.bundle import CARD, FILES, GOLDEN, NETWORK, RECORD, WEIGHTS, read_bundle, write_bundle
from equipoise.deploy.card_rows import AUTHOR, COMPLETED, OPEN
from equipoise.deploy.predictor import Bundle
from equipoise.deploy.verify import verify
from equipoise.errors import EquipoiseError
from equipoise.report.text import model_card


def edit(bundle, change_record):
    """Change bundle.json as a forger would."""
    record = json.loads((bundle / RECORD).read_text())
    change_record(record)
    (bundle / RECORD).write_text(json.dumps(record))


def test_a_bundle_is_named_by_its_record_and_holds(bundle):
    checked = verify(bundle)
    assert checked.sha256 == hashlib.sha256((bundle / RECORD).read_bytes()).hexdigest()
    assert checked.golden_difference == 0.0
    assert "For research only" in checked.text()
    assert verify(bundle, sha256=checked.sha256[:12]).as_json()["arm"] == "layer"
    for wrong in ("0" * 64, checked.sha256[:11], ""):
        with pytest.raises(EquipoiseError, match="has the name"):
            verify(bundle, sha256=wrong)


@pytest.mark.parametrize(
    "change_record",
    [
        lambda record: record["evidence"].update(estimate=0.99),
        lambda record: record["evidence"].update(arm="another"),
        lambda record: record["provenance"].update(protocol_sha256="q"),
        lambda record: record["reading"].update(alike=9, with_files=9),
        lambda record: record["provenance"].pop("job"),
    ],
)
def test_a_card_that_contradicts_its_record_is_refused(bundle, change_record):
    edit(bundle, change_record)
    with pytest.raises(EquipoiseError, match=r"is not the card of bundle\.json|lacks what CARD\.md states"):
        verify(bundle)


def test_the_card_of_another_version_is_not_compared_and_verify_says_so(bundle):
    edit(bundle, lambda record: record["provenance"]["versions"].update(equipoise="0.0.9"))
    assert (
        verify(bundle)
        .warnings[-1]
        .startswith("CARD.md could not be compared with bundle.json: equipoise 0.0.9 made it")
    )


def test_a_card_that_was_rewritten_is_refused_also_with_its_hash(bundle):
    change(bundle, CARD, (bundle / CARD).read_bytes().replace(b"0.800", b"0.999"), rehash=True)
    with pytest.raises(EquipoiseError, match="is not the card of"):
        verify(bundle)


def test_the_author_completes_rows_of_the_card_and_no_others(bundle):
    assert (OPEN, AUTHOR) == (model_card.OPEN, model_card.AUTHOR)
    card = (bundle / CARD).read_text(encoding="utf-8")
    row = f"| author, contact, licence of the weights | {OPEN} | {AUTHOR} |"
    assert row in card
    for source in (AUTHOR, COMPLETED):
        completed = card.replace(row, f"| author, contact, licence of the weights | A. Ö. \\| CC BY 4.0 | {source} |")
        (bundle / CARD).write_text(completed, encoding="utf-8", newline="\r\n")
        assert verify(bundle).sha256 == hashlib.sha256((bundle / RECORD).read_bytes()).hexdigest()
        assert b"CC BY" in read_bundle(bundle).files[CARD]
    forged = re.sub(r"\| 0\.\d+ .*\| from the run \|", f"| 0.999 | {COMPLETED} |", card, count=1)
    assert forged != card
    for other in (forged, f"{card}\nApproved.\n", card.replace(row, f"| licence | MIT | {AUTHOR} |")):
        (bundle / CARD).write_text(other, encoding="utf-8")
        with pytest.raises(EquipoiseError, match="more than the rows marked 'author must complete'"):
            verify(bundle)


@pytest.mark.parametrize("file", FILES)
def test_one_bit_more_or_less_is_refused(bundle, file):
    content = (bundle / file).read_bytes()
    for at in (0, len(content) // 2, len(content) - 1):
        flipped = bytearray(content)
        flipped[at] ^= 1
        (bundle / file).write_bytes(flipped)
        with pytest.raises(EquipoiseError, match=r"SHA-256 differs|more than the rows"):
            read_bundle(bundle)
    (bundle / file).write_bytes(content + b"\0")
    with pytest.raises(EquipoiseError, match=r"bytes instead of|more than the rows"):
        read_bundle(bundle)
    (bundle / file).unlink()
    with pytest.raises(EquipoiseError, match=f"has no {file}"):
        read_bundle(bundle)


def test_links_pipes_and_other_files_are_refused(bundle, tmp_path):
    (bundle / "run.py").write_text("print()")
    with pytest.raises(EquipoiseError, match=r"'run.py', which is not a file of a bundle"):
        read_bundle(bundle)
    (bundle / "run.py").unlink()
    (bundle / ".DS_Store").write_text("left behind by a file manager")
    read_bundle(bundle)
    (bundle / NETWORK).rename(tmp_path / "elsewhere")
    (bundle / NETWORK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EquipoiseError, match="as a link"):
        read_bundle(bundle)
    (bundle / NETWORK).unlink()
    os.mkfifo(bundle / NETWORK)
    with pytest.raises(EquipoiseError, match="not a plain file"):
        read_bundle(bundle)


def test_no_bundle_at_all(tmp_path):
    with pytest.raises(EquipoiseError, match="does not exist"):
        read_bundle(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(EquipoiseError, match="not a bundle: it has no bundle.json"):
        read_bundle(tmp_path / "empty")
    (tmp_path / "text").write_text("no zip")
    with pytest.raises(EquipoiseError, match="cannot be read as a bundle"):
        read_bundle(tmp_path / "text")


@pytest.mark.parametrize("record", ["[]", "{", "[" * 100_000, '{"schema": 2}', '{"schema": 1}', "null"])
def test_a_record_of_another_form_is_one_sentence(bundle, record):
    (bundle / RECORD).write_text(record)
    with pytest.raises(EquipoiseError):
        read_bundle(bundle)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("truth",), "none"), (("spatial_dims",), 4), (("classes",), ["a", "a", "b"]), (("window", "overlap"), 1.0),
     (("window", "mirror_axes"), [3]), (("window", "side"), [4]), (("regions",), []), (("pipeline",), {}),
     (("channels",), []), (("window",), None)],
)  # fmt: skip
def test_a_description_that_makes_no_sense_is_one_sentence(bundle, path, value):
    def put(record):
        place = record["contract"]
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    edit(bundle, put)
    with pytest.raises(EquipoiseError):
        Bundle(bundle)


def test_a_zip_is_read_by_names_and_never_by_paths(bundle, tmp_path):
    plain = tmp_path / "plain.zip"
    with zipfile.ZipFile(plain, "w") as archive:
        for file in bundle.iterdir():
            archive.write(file, f"bundle/{file.name}")
    assert read_bundle(plain).sha256 == read_bundle(bundle).sha256
    for name in ("../x", "a/../x", "/etc/x", "a\\x", "a/b/x"):
        odd = tmp_path / "odd.zip"
        shutil.copy(plain, odd)
        with zipfile.ZipFile(odd, "a") as archive:
            archive.writestr(name, "x")
        with pytest.raises(EquipoiseError, match=r"leads outside the bundle|not a file of a bundle"):
            read_bundle(odd)
    packed = tmp_path / "packed.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(bundle / NETWORK, NETWORK)
    with pytest.raises(EquipoiseError, match="twice, is compressed or is too large"):
        read_bundle(packed)


def test_nothing_is_overwritten_and_nothing_half_written_stays(bundle, tmp_path, monkeypatch):
    files = dict(read_bundle(bundle).files)
    record = {key: value for key, value in read_bundle(bundle).record.items() if key != "files"}
    with pytest.raises(EquipoiseError, match="exists already"):
        write_bundle(bundle, record, files)
    with pytest.raises(EquipoiseError):
        write_bundle(tmp_path / "new", {**record, "contract": {}}, files)
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]


# What a forger changes together with its hash, so that only what the bundle computes can tell.
@pytest.mark.long
def test_swapped_classes_channels_and_a_changed_pipeline_are_refused(tmp_path):
    swaps = {
        "classes": lambda contract: contract["classes"].reverse(),
        "regions": lambda contract: contract["regions"].reverse(),
        "pipeline": lambda contract: contract["pipeline"]["scale"].update(kind="unit"),
        "pipeline ": lambda contract: contract["pipeline"].update(resample_mm=[20.0, 10.0, 5.0]),  # spacing × 10
        "channels": lambda contract: contract["channels"].reverse(),
        "oriented": lambda contract: contract.update(oriented=False),
        "window": lambda contract: contract["window"].update(mirror_axes=[0]),
    }
    source = make_bundle(tmp_path / "source", contract_for(channels=("t1", "t2")))
    for key, swap in swaps.items():
        forged = shutil.copytree(source, tmp_path / key)
        edit(forged, lambda record, swap=swap: swap(record["contract"]))
        with pytest.raises(EquipoiseError, match=f"'{key.strip()}' was changed"):
            Bundle(forged)


def test_widened_limits_are_refused(bundle):
    edit(bundle, lambda record: record["limits"]["spacing_mm"].update(high=[99.0, 99.0, 99.0]))
    with pytest.raises(EquipoiseError, match="training limits are not those"):
        Bundle(bundle)


def test_spacing_times_ten_and_images_without_a_place_are_no_silent_answers(pristine_bundle):
    bundle = Bundle(pristine_bundle)
    values = np.random.default_rng(0).uniform(0, 2, (1, 6, 9, 8)).astype(np.float32)
    placed = Image(values, (2.0, 1.0, 0.5), None, np.diag([0.5, 1.0, 2.0, 1.0]))
    assert not any("spacing" in text for text in bundle.predict(placed).warnings)
    far = Image(values, (20.0, 10.0, 5.0), None, np.diag([5.0, 10.0, 20.0, 1.0]))
    assert sum("outside the training limits: spacing" in text for text in bundle.predict(far).warnings) == 3
    with pytest.raises(EquipoiseError, match=r"spacing along z is 20 mm, in training 2 to 2.*--strict"):
        bundle.predict(far, strict=True)
    # stored from left to right or from right to left: without a place in space nothing tells, so nothing is answered
    with pytest.raises(EquipoiseError, match="its orientation is not known"):
        bundle.predict(Image(values[..., ::-1], (2.0, 1.0, 0.5)))
    # with its place, the same voxels stored from right to left get the same answer on the same voxels
    turned = np.diag([-0.5, 1.0, 2.0, 1.0])
    turned[0, 3] = 0.5 * 7
    flipped = bundle.predict(Image(values[..., ::-1], (2.0, 1.0, 0.5), None, turned))
    for name, mask in bundle.predict(placed).masks.items():
        assert np.array_equal(flipped.masks[name], mask[..., ::-1])


def test_another_network_is_refused_by_its_answers(bundle):
    other = onnx_model(3, 1, 3, slopes=np.array([0.0, 1.001, 2.0]))
    change(bundle, NETWORK, other, rehash=True)
    with pytest.raises(EquipoiseError, match="differently than where it was exported"):
        Bundle(bundle)
    change(bundle, NETWORK, b"no network", rehash=True)
    with pytest.raises(EquipoiseError, match="ONNX Runtime refuses"):
        Bundle(bundle)
    change(bundle, NETWORK, onnx_model(2, 1, 3), rehash=True)
    with pytest.raises(EquipoiseError, match="returned shape"):
        Bundle(bundle)


def test_golden_images_that_are_missing_or_pickled_are_refused(bundle, tmp_path):
    for content in (b"", b"PK\x03\x04", (bundle / WEIGHTS).read_bytes()):
        change(bundle, GOLDEN, content, rehash=True)
        with pytest.raises(EquipoiseError, match="golden"):
            Bundle(bundle)
    with (tmp_path / "pickle.npz").open("wb") as file:
        np.savez(file, contract=np.array([{"a": 1}], dtype=object))
    change(bundle, GOLDEN, (tmp_path / "pickle.npz").read_bytes(), rehash=True)
    with pytest.raises(EquipoiseError, match="not readable"):
        Bundle(bundle)


@pytest.mark.long
def test_golden_images_are_made_up_and_the_same_each_time(tmp_path):
    first, second = (make_bundle(tmp_path / name) for name in ("a", "b"))
    assert read_bundle(first).sha256 == read_bundle(second).sha256
    arrays = arrays_of((first / GOLDEN).read_bytes())
    assert arrays["image_0"].shape == (1, 6, 9, 8)
    assert {name.partition("_")[0] for name in arrays} == {
        "contract", "limits", "image", "spacing", "affine", "prepared", "logits", "mask",
    }  # fmt: skip
