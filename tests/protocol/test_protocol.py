from pathlib import Path

import pytest

from equipoise.errors import ProtocolError
from equipoise.protocol import Pretrained, Protocol
from equipoise.protocol.study import Study, is_study

GOOD = """
[trial]
name = "x"
[cohort]
source = "phantom"
cases = 3
[[arms]]
name = "a"
model = {name = "densenet", preset = "small"}
optimizer = {name = "adam", lr = 1e-3}
[[arms]]
name = "b"
model = "unet"
"""
FIVE = "[training]\nseeds = [0, 1, 2, 3, 4]\n"


def test_defaults_are_filled_in_and_foreign_keys_kept():
    protocol = Protocol.parse(GOOD)
    assert protocol.training.seeds == (0, 1, 2)
    assert protocol.arms[0].model.settings == {"preset": "small"}
    assert protocol.arms[1].model.name == "unet"
    assert protocol.cohort.settings == {"cases": 3}


def test_looks_and_shared_seeds_are_part_of_the_plan():
    looking = Protocol.parse(GOOD.replace("[trial]", f"{FIVE}[endpoints]\nlooks = [3, 5]\n[trial]"))
    assert looking.endpoints.looks == (3, 5)
    one_model = GOOD.replace('model = "unet"', 'model = {name = "densenet", preset = "small"}')
    plain, shared = (
        Protocol.parse(one_model.replace("[trial]", f"{FIVE}shared_seeds = {value}\n[trial]"))
        for value in ("false", "true")
    )
    assert shared.training.shared_seeds
    assert plain.sha256() != shared.sha256()


def test_an_arm_may_start_from_a_file_and_keep_parts_of_it():
    start = 'name = "a"\npretrained = {file = "w", rename = {"x." = "y."}, keep = ["head"]}\nfreeze = ["y.*"]'
    first = Protocol.parse(GOOD.replace('name = "a"', start)).arms[0]
    assert first.pretrained == Pretrained(file="w", rename={"x.": "y."}, keep=("head",))
    assert first.freeze == ("y.*",)
    assert Protocol.parse(GOOD.replace('name = "a"', 'name = "a"\npretrained = "w"')).arms[0].pretrained.file == "w"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (('name = "a"', 'nme = "a"'), r"arms\[0\].nme' is unknown; did you mean 'name'\?"),
        (("[trial]", "[trail]"), r"'trail' is unknown; did you mean 'trial'\?"),
        (('name = "b"', 'name = "a"'), "the name 'a' is used twice"),
        (('source = "phantom"\n', ""), "'cohort.source' is missing"),
        (("[trial]", "[training]\nepoch = 1\n[trial]"), r"'training.epoch' is unknown; did you mean 'epochs'\?"),
        (("[trial]", "[training]\nepochs = '3'\n[trial]"), "training.epochs = '3' is not allowed: input should be"),
        (("[trial]", "[training]\nepochs = 0\n[trial]"), "greater than or equal to 1"),
        (("[trial]", "[training]\nloss = 'ce'\n[trial]"), "should be 'cross-entropy'"),
        (("[trial]", "[training]\nseeds = [0, 0]\n[trial]"), "seeds must be different"),
        (("[trial]", "[split]\nfractions = [0.8, 0.1, 0.2]\n[trial]"), "sum to 1"),
        (("[trial]", "[endpoints]\nfamily = 'c'\n[trial]"), "'c' is not an arm; allowed: all, a, b"),
        (("[trial]", "[endpoints]\nmargin = 0.0\n[trial]"), "endpoints.margin = 0.0 is not allowed"),
        (("[trial]", "[trial"), "is not valid TOML"),
        (("[trial]", f"{FIVE}[endpoints]\nlooks = [2, 5]\n[trial]"), r"first at 3 seeds or later.*use \[3, 5\] or"),
        (("[trial]", f"{FIVE}[endpoints]\nlooks = [3, 4, 5]\n[trial]"), "two looks"),
        (("[trial]", f"{FIVE}[endpoints]\nlooks = [5, 3]\n[trial]"), "two looks"),
        (("[trial]", "[endpoints]\nlooks = [3, 5]\n[trial]"), "training.seeds names 3; name 5 seeds"),
        (("[trial]", f"{FIVE}[split]\nscheme = 'kfold'\n[endpoints]\nlooks = [3, 5]\n[trial]"), "cross-validation"),
        (("[trial]", "[training]\nshared_seeds = true\n[trial]"), "at least 5 seeds.*names 3"),
        (("[trial]", f"{FIVE}shared_seeds = true\n[endpoints]\nlooks = [3, 5]\n[trial]"), "choose one of them"),
        (("[trial]", f"{FIVE}shared_seeds = true\n[trial]"), "'a' and 'b' have different models"),
    ],
)
def test_bad_input_gets_one_sentence(change, sentence):
    text = GOOD.replace(*change)
    assert text != GOOD
    with pytest.raises(ProtocolError, match=sentence) as caught:
        Protocol.parse(text, "p.toml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("p.toml")


def test_missing_file_and_binary_file(tmp_path):
    with pytest.raises(ProtocolError, match="does not exist; write one with `equipoise init`"):
        Protocol.load(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ProtocolError, match="cannot be read"):
        Protocol.load(tmp_path / "binary.toml")
    with pytest.raises(ProtocolError, match="cannot be read"):
        Protocol.load(tmp_path)


def test_hash_sees_the_plan_not_its_spelling():
    plain = Protocol.parse(GOOD).sha256()
    assert Protocol.parse("# a comment\n" + GOOD).sha256() == plain
    assert Protocol.parse(GOOD + "\n[training]\nepochs = 12\n").sha256() == plain, "a default written out"
    assert Protocol.parse(GOOD.replace("cases = 3", 'cases = 3\npath = "elsewhere"')).sha256() == plain
    assert Protocol.parse(GOOD.replace("cases = 3", "cases = 4")).sha256() != plain
    assert Protocol.parse(GOOD.replace("1e-3", "2e-3")).sha256() != plain


def test_paths_are_relative_to_the_protocol(tmp_path):
    file = tmp_path / "protocol.toml"
    file.write_text(GOOD.replace("cases = 3", 'path = "data"'))
    assert Protocol.load(file).cohort_path == tmp_path / "data"


TUNED = (
    GOOD
    + """
[tuning]
draws = 6
"""
)


def spaced(space: str, extra: str = "") -> str:
    return TUNED.replace('[[arms]]\nname = "b"', f'{space}\n[[arms]]\nname = "b"{extra}', 1)


def test_spaces_are_declared_by_dotted_names_quoted_or_not() -> None:
    plain = Protocol.parse(spaced("space = {optimizer.lr = {log = [1e-4, 1e-1]}, model.preset = ['tiny', 'small']}"))
    quoted = Protocol.parse(
        spaced('[arms.space]\n"optimizer.lr" = {log = [1e-4, 1e-1]}\n"model.preset" = {choices = ["tiny", "small"]}')
    )
    assert plain.arms[0].space == quoted.arms[0].space
    assert plain.sha256() == quoted.sha256()
    assert list(plain.arms[0].space.dimensions()) == ["model.preset", "optimizer.lr"]


def test_a_tuned_protocol_made_in_python_reads_back_as_the_same_plan() -> None:
    protocol = Protocol.parse(spaced("space = {optimizer.lr = {log = [1e-4, 1e-1]}, model.width = {integer = [4, 8]}}"))
    written = Protocol.model_validate(protocol.model_dump()).text
    assert Protocol.parse(written).sha256() == protocol.sha256()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (spaced("space = {optimizer.lr = {log = [0.1, 0.01]}}"), "is not a range; give two numbers, the lower first"),
        (spaced("space = {optimizer.lr = {log = [0.0, 0.01]}}"), "has no logarithm; give two numbers above 0"),
        (spaced("space = {optimizer.lr = {lg = [0.1, 1.0]}}"), "lr.lg' is unknown; did you mean 'log'"),
        (spaced("space = {optimizer.lr = {log = [0.1, 1], linear = [0.1, 1]}}"), "give exactly one of log, linear"),
        (spaced("space = {optimizer.lr = 0.1}"), "give a table such as"),
        (spaced("space = {optimizer.lr = []}"), "at least 1 item"),
        (spaced("space = {optim.lr = [0.1]}"), "space.optim' is unknown; did you mean 'optimizer'"),
        (
            spaced("space = {optimizer.lr = [0.1]}").replace("[tuning]\ndraws = 6", ""),
            ".tuning. is missing; add it with draws",
        ),
        (spaced("draws = 12"), "'a' asks for 12 draws and the others get 6; .*set tuning.unequal = true"),
        (spaced("", "").replace('name = "b"', 'name = "a-untuned"'), "is reserved for the untuned 'a'"),
        (TUNED + "epochs = 0", "greater than or equal to 1"),
    ],
)
def test_a_tuning_that_cannot_be_gets_one_sentence(text: str, sentence: str) -> None:
    with pytest.raises(ProtocolError, match=sentence) as caught:
        Protocol.parse(text)
    assert "\n" not in str(caught.value)


def test_unequal_budgets_must_be_meant() -> None:
    assert Protocol.parse(spaced("draws = 12") + "unequal = true\n").arms[0].draws == 12
    assert Protocol.parse(spaced("draws = 6")).arms[0].draws == 6


def test_shared_seeds_need_models_that_tuning_leaves_alone():
    text = GOOD.replace('model = "unet"', 'model = {name = "densenet", preset = "small"}')
    text = text.replace("[trial]", f"{FIVE}shared_seeds = true\n[tuning]\ndraws = 2\n[trial]")
    assert Protocol.parse(text).training.shared_seeds
    text += "space = {model = {growth = {integer = [2, 4]}}}\n"
    with pytest.raises(ProtocolError, match="tuning may change the model of 'b'"):
        Protocol.parse(text)


HASHES = {
    "adrenal.toml": "d9f0f1ef8a26b433e25bf1faf5ecb764887a387fe42bf4185dd4ffffc3bf52b6",
    "brats-pair.toml": "b65421de1cf158ec7d9554eb2e8ef3b36bbc5d5e472e284ebc8b76fa6e13b667",
    "cheng-detection.toml": "82e32283201292f165c1f546a79ccd9a74fe23ac3b37aed9e1db33c07e3d28ed",
    "cheng-segmentation.toml": "3abf00be82f5687a5559561e2d433cc889fa676b407f7f6f7a061d8e6a8da07f",
    "cheng-split.toml": "009deff744fbfcfa1055e765b77fbc11fb336305a51b5f7e610d864bc89032bf",
    "lidc-detection.toml": "4b5dd706d4ebcde569c0beb87f55c59d249225e2ffedfb3cd38e8864058fa514",
    "lidc-malignancy.toml": "d4458564738ca4078d598d2ab4099630c4a368616da2322b822b5d42c722e1fe",
    "lidc-malignancy4.toml": "24180036dab642abfd8e9759f0680da68a5c7e550902d4391c64b3a0f9baa2dd",
    "hippocampus.toml": "35d1b863a3cf6a667181e219cd0bd011f2a8469b3314b176148086d8537bbe8e",
    "hippocampus-nnunet.toml": "6609127044cf058cabf94db6720d34f2431b40da6a4b9e936863662ef4421be9",
    "lidc-nodules.toml": "af25ae31521ae94180774491f6fdc4034adc9605326936411632304812fcb02e",
    "lidc-nodules2d.toml": "aa5ee931796e6ab6d228623ce8cded5d513ec219d3046889efce71ef7f2d5e8a",
    "optimizers.toml": "b4e28e0a12c91d81e5eca05bfcc64a2850c995f03a34e5a03d79ff6ffb35150c",
    "pneumonia.toml": "f7419efa4c6548edd24b85a2db24627a4830aa98382f7e83a075a5cbcbf491a6",
    "quick.toml": "db2c4555341fd4e440f54ac52ef8acb54bb3581d343175c531dcc3624936e9da",
}
"""Of the examples, as run folders hold them: a run is refused where its protocol has another."""


@pytest.mark.long
@pytest.mark.parametrize("name", HASHES)
def test_the_hash_of_an_example_never_changes(name):
    file = Path(__file__).parents[2] / "examples" / name
    plan = Study.load(file) if is_study(file) else Protocol.load(file)
    assert plan.sha256() == HASHES[name]


def test_every_example_has_its_hash_recorded():
    assert set(HASHES) == {file.name for file in (Path(__file__).parents[2] / "examples").glob("*.toml")}


def test_margins_of_secondary_endpoints_are_part_of_the_plan_where_they_are_stated():
    plain = Protocol.parse(GOOD)
    assert "margins" not in plain.endpoints.model_dump(mode="json")
    stated = Protocol.parse(GOOD + "[endpoints.margins]\nbrier = 0.02\naccuracy = 0.05\n")
    assert list(stated.endpoints.margins) == ["brier", "accuracy"]
    assert stated.endpoints.model_dump(mode="json")["margins"] == {"brier": 0.02, "accuracy": 0.05}
    assert stated.sha256() != plain.sha256()


@pytest.mark.parametrize(
    ("margin", "words"),
    [("auc = 0.02", "endpoints.margin"), ("hd95 = 1.0", "not a secondary endpoint"), ("brier = 0.0", "greater than 0")],
)
def test_a_margin_of_another_endpoint_is_refused(margin, words):
    with pytest.raises(ProtocolError, match=words):
        Protocol.parse(f"{GOOD}[endpoints.margins]\n{margin}\n")
