"""The user's own figures: what a function may return, and which names are refused, without a run folder."""

import importlib
import sys
from pathlib import Path

import pytest

from equipoise.errors import EquipoiseError, ProtocolError
from equipoise.report.figures.figure import Figure
from equipoise.report.pages.own_figures import own_figures
from equipoise.runfolder.ledger_state import LedgerState
from equipoise.runfolder.read import RunFolder

RUN = RunFolder(Path("run"), {"name": "trial"}, (), (), (), {}, LedgerState(0, False, ""), ())
BUILT_IN = (Figure("roc", "ROC", "", (), (), ()),)
MODULE = "figures_of_this_test"
CODE = '''
from equipoise.errors import EquipoiseError
from equipoise.report.figures.figure import Figure


def one(run, results):
    """Named after what it was given."""
    return Figure("one", f"{run.lock['name']} of {results['cases']}", "", (), ("cases",), ((results["cases"],),))


def two(run, results):
    return Figure("two", "", "", (), (), ())


def nothing(run, results):
    return None


def roc(run, results):
    return Figure("roc", "", "", (), (), ())


def outside(run, results):
    return Figure("../outside", "", "", (), (), ())


def fails(run, results):
    raise KeyError("missing")


def refuses(run, results):
    raise EquipoiseError("this trial has no ages; name another figure")


def text(run, results):
    return "a picture"
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("own")
    (place / f"{MODULE}.py").write_text(CODE)
    importlib.invalidate_caches()
    yield place
    sys.modules.pop(MODULE, None)


def drawn(folder, *names):
    return own_figures([f"{MODULE}:{name}" for name in names], RUN, {"cases": 7}, BUILT_IN, folder)


def test_a_function_is_given_the_run_and_its_results(folder):
    (figure,) = drawn(folder, "one")
    assert (figure.name, figure.title, figure.rows) == ("one", "trial of 7", ((7,),))


def test_figures_keep_the_order_of_their_names_and_none_is_omitted(folder):
    assert [figure.name for figure in drawn(folder, "two", "nothing", "one")] == ["two", "one"]
    assert drawn(folder) == []


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["roc"], "figures_of_this_test:roc' is called 'roc', as another is; give it another name"),
        (["one", "one"], "is called 'one', as another is"),
        (["fails"], r"'figures_of_this_test:fails' failed \(KeyError: 'missing'\); correct its function"),
        (["refuses"], "^this trial has no ages; name another figure$"),
        (["text"], "returned str; it must return a Figure"),
        (["two", "no_such"], "has no 'no_such'"),
    ],
)
def test_what_is_no_figure_is_refused_in_one_sentence(folder, names, sentence):
    with pytest.raises(EquipoiseError, match=sentence):
        drawn(folder, *names)


def test_a_name_that_would_lead_out_of_the_folder_is_refused(folder):
    with pytest.raises(ProtocolError, match="'../outside' of a figure cannot be the name"):
        drawn(folder, "outside")


def test_a_name_without_a_colon_is_refused(folder):
    with pytest.raises(EquipoiseError, match="'roc' names no figure of your own; write it as module:function"):
        own_figures(["roc"], RUN, {}, BUILT_IN, folder)
