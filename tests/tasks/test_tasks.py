"""The records of the tasks, and that no other place decides anything by a task's name."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import equipoise
from equipoise.cohorts import Case, Cohort, Image
from equipoise.errors import CohortError, ProtocolError
from equipoise.evaluation.candidate_table import FINDINGS
from equipoise.lookup import imported
from equipoise.statistics.endpoints import offered_by_candidates
from equipoise.tasks import CLASSIFICATION, DETECTION, SEGMENTATION, TASKS, Task, recorded_task, task_named
from equipoise.testing.phantoms.cases import phantom

SOURCE = Path(equipoise.__file__).parent
OWN_PLACES = ("tasks", "training/tasks", "models")  # networks keep a setting `task`


def decided_by_name(tree: ast.AST) -> list[ast.AST]:
    """Comparisons with a task's name, cases of a match, and keys of a dictionary literal or a subscript."""

    def names_a_task(node: ast.AST | None) -> bool:
        return any(isinstance(part, ast.Constant) and part.value in TASKS for part in _values(node))

    decisions: list[ast.AST] = []
    for node in ast.walk(tree):
        sides = {
            ast.Compare: lambda n: [n.left, *n.comparators],
            ast.MatchValue: lambda n: [n.value],
            ast.Dict: lambda n: n.keys,
            ast.Subscript: lambda n: [n.slice],
        }.get(type(node), lambda _: [])(node)
        decisions += [node] if any(map(names_a_task, sides)) else []
    return decisions


def _values(node: ast.AST | None) -> list[ast.AST]:
    return list(node.elts) if isinstance(node, ast.Tuple | ast.List | ast.Set) else [] if node is None else [node]


@pytest.mark.parametrize(
    "code",
    [
        'task == "classification"',
        '"detection" != job.task',
        'task in ("segmentation", "detection")',
        'task not in {"segmentation"}',
        'x = {"segmentation": 1}',
        'rules["detection"]',
        'match task:\n    case "detection":\n        pass',
    ],
)
def test_every_way_to_decide_by_name_is_seen(code):
    assert decided_by_name(ast.parse(code))


def test_names_in_prose_and_as_arguments_are_no_decisions():
    assert not decided_by_name(ast.parse('"""detection"""\nf("detection", task="segmentation")\nx = "classification"'))


@pytest.mark.long
def test_no_name_of_a_task_decides_outside_the_tasks_own_places():
    offenders = [
        f"{file.relative_to(SOURCE)}:{node.lineno}"
        for file in sorted(SOURCE.rglob("*.py"))
        if not file.relative_to(SOURCE).as_posix().startswith(OWN_PLACES)
        for node in decided_by_name(ast.parse(file.read_text(encoding="utf-8")))
    ]
    assert offenders == []


def test_no_template_decides_by_the_name_of_a_task():
    decision = re.compile(rf"""(==|!=|\bin)\s*\(?\[?["']({"|".join(TASKS)})["']""")
    assert decision.search("{% if cohort.task == 'detection' %}")
    templates = {file.name: file.read_text(encoding="utf-8") for file in SOURCE.rglob("*.j2")}
    assert templates
    # a protocol's own line `task = "…"` is a value, not a decision
    assert [name for name, text in templates.items() if decision.search(text)] == []


@pytest.mark.parametrize("task", TASKS.values(), ids=list(TASKS))
def test_both_halves_of_a_task_have_every_method(task: Task):
    preparation = imported(task.preparation, "preparation of a task", None)
    training = imported(task.training, "training of a task", None)
    assert all(callable(getattr(preparation, name)) for name in ("prepared", "baselines"))
    methods = ("output_shape", "answer_one", "validate", "predict", "useless_loss")
    assert all(callable(getattr(training, name)) for name in methods)


@pytest.mark.long
def test_the_records_and_the_preparations_need_no_torch():
    modules = ["equipoise.tasks", *(task.preparation.partition(":")[0] for task in TASKS.values())]
    code = f"import sys, {', '.join(modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_split_and_a_network_ask_the_record():
    labelled, masked, scans = (phantom(task=task, cases=6, size=16) for task in TASKS)
    assert labelled.task_record is CLASSIFICATION
    assert np.array_equal(CLASSIFICATION.strata(labelled), labelled.labels)
    assert CLASSIFICATION.counts(labelled, [0, 1]) == labelled.class_counts([0, 1])
    assert CLASSIFICATION.structures(labelled) == CLASSIFICATION.judged_structures(labelled) == {}
    assert SEGMENTATION.strata(masked).tolist() == [0] * 6
    assert SEGMENTATION.counts(masked) == DETECTION.counts(scans) == {}
    assert SEGMENTATION.judged_structures(masked) == {"lesion": (1,)}
    assert SEGMENTATION.network_classes(masked) == masked.classes
    assert list(DETECTION.structures(scans)) == ["lesion", "irrelevant"]
    assert DETECTION.judged_structures(scans) == {}
    assert DETECTION.network_classes(scans) == ("background", "finding")


def test_a_detector_offers_the_endpoints_of_candidates():
    assert list(DETECTION.endpoint_names) == offered_by_candidates()
    assert DETECTION.columns == (FINDINGS,)


def test_a_case_without_its_size_is_refused_by_the_record():
    image = Image(np.zeros((1, 4, 4), np.float32), (1.0, 1.0))
    cases = tuple(Case(f"c{k}", f"p{k}", lambda: image, k, attributes={"mm": [3.0, None][k]}) for k in range(2))
    cohort = Cohort("x", "classification", cases, ("a", "b"), ("grey",), 2, size_attribute="mm")
    with pytest.raises(CohortError, match="case c1 has mm = None"):
        CLASSIFICATION.check(cohort)


def test_unknown_tasks_are_told_in_one_sentence():
    with pytest.raises(ProtocolError, match="'detecton' is unknown; did you mean 'detection'"):
        task_named("detecton")
    with pytest.raises(ProtocolError, match="no_such_module is missing; put it beside the protocol"):
        task_named("no_such_module:TASK")
    assert recorded_task({}) is None
    assert recorded_task({"task": "detection"}) is DETECTION
