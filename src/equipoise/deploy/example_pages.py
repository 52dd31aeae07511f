"""Pages of a trial's example cases, answered by the bundle, beside the run: the report's examples link them."""

from collections.abc import Iterable

from equipoise.atomic_write import write_text
from equipoise.deploy.page import case_page
from equipoise.deploy.predictor import Predictor
from equipoise.deploy.trained import TrainedJob
from equipoise.plain_files import inside
from equipoise.runfolder.paths import example_page


def write_example_pages(trained: TrainedJob, predictor: Predictor, cases: Iterable[str], bundle: str) -> list[str]:
    """Answer cases of the trial by name and write a page of each into the run folder; return the files' names.

    bundle: its name. Raises EquipoiseError where the folder is a link, OSError where it cannot be written.
    """
    arm, written = trained.job.arm.name, []
    known = {case.id: case for case in trained.cohort.cases}
    for name in dict.fromkeys(cases):
        if name not in known:
            continue
        file = example_page(trained.run.path, arm, name)
        image = known[name].read()
        answer = predictor.predict(image)
        channel = predictor.contract.channels[0]
        page = case_page(name, image, answer, warnings=answer.warnings, channel=channel, arm=arm, bundle=bundle)
        with inside(trained.run.path):
            write_text(file, page)
        written.append(file.name)
    return written
