"""The effect of a missing modality: the primary endpoint of the same networks with one channel blank."""

from equipoise.errors import PredictionError
from equipoise.evaluation.predictions import Predictions, concatenate, read_parquet
from equipoise.runfolder.paths import job_folder, without_channel
from equipoise.runfolder.read import RunFolder


def rows_without(run: RunFolder, index: int) -> Predictions | None:
    """Read the test rows that finished jobs predicted without one channel; None where none did."""
    tables = []
    for arm in run.arms():
        for job in run.finished(arm):
            file = without_channel(job_folder(run.path, job.arm, job.fold, job.seed), index)
            if file.is_file():
                tables.append(read_parquet(file))
    return concatenate(tables) if tables else None


def channels_left_out(run: RunFolder) -> tuple[list[tuple[str, Predictions]], list[str]]:
    """Return (modality, test rows without it) for every omitted modality, and sentences about unreadable files."""
    tables, problems = [], []
    for index, name in enumerate(run.lock["cohort"].get("channels", ())):
        try:
            table = rows_without(run, index)
        except PredictionError as error:
            problems.append(str(error))
            continue
        if table is not None:
            tables.append((str(name), table))
    return tables, problems
