"""What a job writes of an exception or a warning, where outputs name cases by pseudonyms.

Code of the user's own may read any file, and say in its errors whose it was. No sieve can tell a name in free text that
it does not know, so such a text is shown once, on the terminal of the run, and never written: done.json has the kind of
the exception and its place. What this package says of itself is written as it is.
"""

import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

from equipoise.cohorts.name_sieve import NameSieve
from equipoise.errors import EquipoiseError
from equipoise.lookup import raised
from equipoise.progress import remark
from equipoise.runfolder.job import Job
from equipoise.training.loop.blame import in_own_code, of_the_arm, own_names, places_of

WITHHELD = 'its text may name patients, so it stands on the terminal of the run alone; cohort.ids = "plain" keeps it'
_OURS = f"{Path(__file__).resolve().parents[2]}/"
_SIEVE = NameSieve({})


def in_writing(error: BaseException, job: Job, *, plain: bool = False) -> str:
    """Return one line on an exception that a job may write; a text that is withheld is told on the terminal.

    plain: whether the exception is of a kind that this package alone raises, whose text is a whole sentence.
    """
    ours = plain and _raised_here(error)
    plain = plain or isinstance(error, EquipoiseError)
    text = (str(error) if plain else f"{type(error).__name__}: {error}").split("\n")[0]
    if not job.hides_names:
        return text
    own = next((one for one in _chain(error) if of_the_arm(one, job) and not (ours and one is error)), None)
    if own is None:
        return text if plain or _raised_here(error) else _SIEVE.text(text)
    remark(f"job {job.name}: {', from '.join(map(raised, _chain(error)))}")
    return f"{type(own).__name__}{_place(own, job)} ({WITHHELD})"


def warnings_in_writing(caught: Sequence[warnings.WarningMessage], job: Job) -> list[str]:
    """Return the texts of warnings that a job may write, each once; of a job with own code, their kind and place."""
    texts = {str(one.message) for one in caught}
    if not job.hides_names:
        return sorted(texts)
    if not own_names(job):
        return sorted({_SIEVE.text(text) for text in texts})
    # Not by the place that a warning states: own code may name its caller's, which is in torch or here.
    for text in sorted(texts):
        remark(f"job {job.name}: {text}")
    places = {f"{one.category.__name__} at {Path(one.filename).name}, line {one.lineno}" for one in caught}
    return sorted(f"{place} ({WITHHELD})" for place in places)


def of_another_program(kind: str, text: str, job: Job, *, own: bool) -> str:
    """Return what a job may write of the failure of a program that it started.

    own: whether code of the user's own ran there.
    """
    if not job.hides_names:
        return text
    if not own:
        return _SIEVE.text(text)
    remark(f"job {job.name}: {text}")
    return f"{kind} ({WITHHELD})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and those that led to it, the last one first."""
    seen: set[int] = set()
    following: BaseException | None = error
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        yield following
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)


def _raised_here(error: BaseException) -> bool:
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and str(Path(frames[-1].filename).resolve()).startswith(_OURS)


def _place(error: BaseException, job: Job) -> str:
    """Return where an exception was raised, in the user's own code: the name of the file and the line."""
    places = places_of(job)
    frames = [one for one in traceback.extract_tb(error.__traceback__) if in_own_code(Path(one.filename), places)]
    return f" at {Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else ""
