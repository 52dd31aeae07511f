"""Every list is complete: it has the names of the registry that protocols are resolved by, and a meaning for each."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise import catalogue, cli, cli_completion, cli_listing, zoo
from equipoise.catalogue import docstring, entry, keys, signatures, table
from equipoise.errors import EquipoiseError
from equipoise.lookup import spelled
from equipoise.protocol import Protocol

PACKAGE = Path(catalogue.__file__).parents[1]


def plain(name):
    return name.lower().replace("-", "").replace("_", "")


def names(kind):
    return [one.name for one in catalogue.listing(kind).entries]


@pytest.mark.parametrize("kind", catalogue.KINDS)
def test_every_entry_has_a_name_of_its_own_and_a_meaning(kind):
    listed = catalogue.listing(kind)
    assert [one.name for one in listed.entries if not one.meaning] == [], "say it in the docstring that is read"
    assert len(listed.entries) == len({(one.name, one.meaning) for one in listed.entries}) > 3


def test_networks_and_optimizers_are_those_of_the_registry():
    from equipoise import models, optimizers

    foreign = {f"equipoise.zoo:{name}" for name in zoo.__all__}
    assert {plain(name) for name in names("models")} == {plain(name) for name in models.__all__} | {"nnunet"} | foreign
    assert {plain(name) for name in names("optimizers")} == {plain(name) for name in optimizers.__all__}


def test_settings_and_presets_are_those_that_the_constructor_takes():
    from equipoise.models import UNet
    from equipoise.models.settings import setting_names
    from equipoise.models.unet import PRESETS

    unet = next(one for one in catalogue.listing("models").entries if one.name == "unet")
    assert [one.name for one in unet.settings] == [name for name in setting_names(UNet) if name != "task"]
    assert unet.presets == tuple(PRESETS)
    assert {one.name: one.default for one in unet.settings}["activation"] == '"leaky-relu"'
    assert all(one.meaning for one in unet.settings)


def test_packages_of_networks_are_shown_with_their_adapter():
    shown = catalogue.text(catalogue.listing("models"), only="timm", width=100)
    assert "equipoise.zoo:timm" in shown
    assert "network" in shown
    assert "## [equipoise]" not in table.markdown(catalogue.listing("models"))


def test_an_optimizer_of_torch_has_its_parameters():
    import torch

    adam = next(one for one in catalogue.listing("optimizers").entries if one.name == "adam")
    settings = {one.name: one for one in adam.settings}
    assert settings["lr"].default == "0.001"
    assert "learning rate" in settings["lr"].meaning
    assert set(torch.optim.Adam([torch.zeros(1)]).defaults) == set(settings)


def test_augmentation_losses_and_endpoints_are_complete():
    from equipoise.statistics.endpoints import KNOWN
    from equipoise.tasks import LOSSES
    from equipoise.training.augmentation import Augmentation
    from equipoise.training.learner.losses import build

    assert names("augmentations") == list(Augmentation.__dataclass_fields__)
    assert names("losses") == list(LOSSES)
    assert all(callable(build(name)) for name in LOSSES)
    assert names("endpoints") == [one.name for one in KNOWN]


def test_every_key_of_a_protocol_is_listed():
    stated = {
        f"{name}.{key}"
        for name, field in Protocol.model_fields.items()
        if (section := keys._section(field.annotation)) is not None
        for key in section.model_fields
    }
    listed = catalogue.listing("keys").entries
    assert stated <= {one.name for one in listed}
    assert {"preprocessing.scale", "augmentation", "arms.pretrained.rename"} <= {one.name for one in listed}
    facts = {one.name: dict(one.facts) for one in listed}
    assert facts["training.ema"] == {"values": "number > 0, < 1", "default": "none"}
    assert facts["training.epochs"] == {"values": "whole number ≥ 1", "default": "12"}
    assert facts["cohort.source"]["default"] == "must be given"


def test_sources_and_public_data_are_complete():
    from equipoise.cohorts import sources
    from equipoise.cohorts.public.catalogue import entries

    assert {plain(name) for name in names("sources")} == {plain(name) for name in sources.__all__}
    assert names("data") == [f"public:{name}" for name in entries()]


@pytest.mark.long
def test_no_list_imports_torch():
    script = (
        "import sys\nfrom equipoise.catalogue import KINDS, listing\n"
        "for kind in KINDS: listing(kind)\nassert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_table_fits_its_width_and_loses_no_word():
    listed = catalogue.listing("keys")
    for width in (80, 110, 200):
        lines = catalogue.text(listed, width=width).splitlines()
        assert max(map(len, lines[1:])) <= width
        words = " ".join(lines).split()
        assert "training.foreground_patches" in words
        assert words.count("---") == 0
    shown = catalogue.text(catalogue.listing("models"), only="unet", width=100)
    assert "deep_supervision" in shown
    assert "deeplab" not in shown


def test_a_name_that_there_is_not_gets_the_nearest(capsys):
    assert cli.main(["list", "models", "densnet"]) == 1
    assert "did you mean 'densenet'?" in capsys.readouterr().err
    with pytest.raises(EquipoiseError, match="did you mean 'optimizers'"):
        catalogue.listing("optimizer")


def test_the_command_prints_a_table_or_json(capsys):
    assert cli.main(["list", "optimizers", "lion", "--json"]) == 0
    assert [one["name"] for one in json.loads(capsys.readouterr().out)["entries"]] == ["lion"]
    assert cli.main(["list", "losses"]) == 0
    assert "dice-cross-entropy" in capsys.readouterr().out
    assert tuple(catalogue.KINDS) == cli_listing.LISTS


def test_markdown_escapes_what_would_end_a_cell():
    row = entry.Entry("a", "x | y", (entry.Setting("s", '"v"', "int | None", "m"),))
    page = table.markdown(entry.Listing("models", "Networks", "KEY", (row,)))
    assert "| `a` | x \\| y |" in page
    assert '| `s` | `"v"` | `int \\| None` | m |' in page


def test_docstrings_are_read_in_the_forms_of_the_house_and_of_torch():
    text = "Do.\n\nArgs:\n    lr (float, optional): rate (default: 1e-3)\n    a, b: one; c: two.\n      More: of it"
    assert docstring.meanings(text, ["lr", "a", "b", "c"]) == {
        "lr": "rate (default: 1e-3)",
        "a": "one",
        "b": "one",
        "c": "two. More: of it",
    }


def test_a_meaning_may_begin_below_the_name_of_its_setting():
    text = "Do.\n\nArgs:\n    lr (float): rate\n    betas (tuple[float | Tensor, float], optional):\n        two rates"
    assert docstring.meanings(text, ["lr", "betas"]) == {"lr": "rate", "betas": "two rates"}
    adam = next(one for one in catalogue.listing("optimizers").entries if one.name == "adam")
    explained = {one.name: one.meaning for one in adam.settings}
    assert "coefficients used for computing running averages" in explained["betas"]
    assert "betas" not in explained["lr"]


def test_a_definition_is_followed_to_its_source_without_running_it():
    module, node = signatures.definition("equipoise.models", "UNet")
    assert (module.name, node.name) == ("equipoise.models.unet", "UNet")
    assert signatures.definition("equipoise.models", "Nothing") is None
    assert signatures.module_named("no_such_package.inside") is None
    assert signatures.module_named("equipoise.tasks").constant("__all__")[0] == "CLASSIFICATION"
    with pytest.raises(LookupError, match="assigns no NOTHING"):
        module.assigned("NOTHING")


def test_kinds_know_how_a_protocol_spells_a_name():
    from equipoise import models
    from equipoise.lookup import resolve

    assert spelled("LateFusion") == "late-fusion"
    assert resolve(spelled("LateFusion"), models, "model") is models.LateFusion


@pytest.mark.parametrize("shell", cli_listing.SHELLS)
def test_a_completion_knows_every_command_and_option(shell, capsys):
    assert cli.main(["completion", shell]) == 0
    written = capsys.readouterr().out
    for command in cli_completion.commands_of(cli._parser()):
        assert command.name in written
        for option in command.options:
            assert all(one.lstrip("-") in written for one in option.spellings)


@pytest.mark.long
def test_bash_completes_commands_options_and_values(tmp_path):
    file = tmp_path / "completion"
    file.write_text(cli_completion.script(cli._parser(), "bash"))
    ask = 'source "$0"; COMP_WORDS=("${@:1}"); COMP_CWORD=$(($# - 1)); _equipoise; echo "${COMPREPLY[@]}"'

    def completed(*words):
        result = subprocess.run(["bash", "-c", ask, str(file), *words], capture_output=True, text=True, check=True)
        return result.stdout.split()

    assert completed("equipoise", "pre") == ["predict"]
    assert completed("equipoise", "list", "") == list(cli_listing.LISTS)
    assert completed("equipoise", "run", "a.toml", "--engine", "") == ["local", "ray"]
    assert "--stall-minutes" in completed("equipoise", "run", "--s")
