"""An audit's options are one value, whether they are keywords of the function or options of the command line."""

import argparse
import inspect
from dataclasses import FrozenInstanceError, fields

import pytest

from equipoise.cli_audit import add_audit_options, settings_of
from equipoise.trials import audit as module
from equipoise.trials.audit import audit
from equipoise.trials.audit_settings import AuditSettings

NAMES = [one.name for one in fields(AuditSettings)]
LISTS = ["subgroups", "higher_is_better", "lower_is_better", "ignore", "failure_values"]


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_audit_options(parser)
    return settings_of(parser.parse_args(["table.csv", *words]))


def test_the_function_has_a_keyword_with_the_same_default_for_every_setting():
    parameters = inspect.signature(audit).parameters
    assert set(parameters) == {"predictions", "out", "watch", *NAMES}
    assert {name: parameters[name].default for name in NAMES} == {
        name: getattr(AuditSettings(), name) for name in NAMES
    }
    assert list(parameters)[:4] == ["predictions", "primary", "margin", "control"]


def test_every_keyword_arrives_under_its_own_name(monkeypatch):
    monkeypatch.setattr(module, "audit_as_stated", lambda *arguments: arguments)
    values = {name: object() for name in NAMES}
    predictions, settings, out, watch = audit("table", out="folder", watch=print, **values)
    assert (predictions, out, watch) == ("table", "folder", print)
    assert {name: getattr(settings, name) for name in NAMES} == values


def test_a_command_without_options_states_the_defaults():
    settings = parsed()
    assert {name: tuple(getattr(settings, name)) for name in LISTS} == dict.fromkeys(LISTS, ())
    rest = [name for name in NAMES if name not in LISTS]
    assert {name: getattr(settings, name) for name in rest} == {name: getattr(AuditSettings(), name) for name in rest}


def test_every_setting_has_an_option():
    given = {
        "primary": "--primary dice", "margin": "--margin 0.1", "control": "--control a", "secondary": "--secondary b,c",
        "positive": "--positive p", "subgroups": "--subgroup s --subgroup t", "truth": "--truth t",
        "regions": "--regions r=1", "classes": "--classes n,m", "metric": "--metric m",
        "higher_is_better": "--higher-is-better h", "lower_is_better": "--lower-is-better l",
        "patients": "--patients q", "cases_are_patients": "--cases-are-patients", "common_cases": "--common-cases",
        "columns": "--columns case=x", "scores": "--scores logits", "ignore": "--ignore 255 --ignore 4",
        "threshold": "--threshold 0.4", "images": "--images i", "training": "--training z",
        "allow_trained": "--allow-trained", "below_chance": "--below-chance", "growing": "--growing 200",
        "margins": "--margins b=0.1",
        "failure_values": "--failure-value hd95=60", "ids": "--ids plain",
    }  # fmt: skip
    assert list(given) == NAMES
    settings = parsed(*" ".join(given.values()).split())
    assert settings == AuditSettings(
        "dice", 0.1, "a", ["b", "c"], "p", ["s", "t"], "t", "r=1", ["n", "m"], "m", ["h"], ["l"], "q", True, True,
        "case=x", "logits", [255, 4], 0.4, "i", "z", True, True, 200, "b=0.1", ["hd95=60"], "plain",
    )  # fmt: skip
    with pytest.raises(FrozenInstanceError):
        settings.margin = 0.2
