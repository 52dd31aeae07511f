"""One untrusted file refused: which file, which case, why, and what to do about it."""

from os import PathLike

from equipoise.cohorts.cohort import Problem
from equipoise.cohorts.formats.limits import OF_SIZE, PREFIX
from equipoise.errors import FileRefused


class RefusedFile(FileRefused):
    """A file that a reader would not trust; its text is one sentence, its parts stay apart for `equipoise check`.

    >>> str(RefusedFile("a.nii.gz", "the gzip stream ends early", "copy the file again"))
    'a.nii.gz: the gzip stream ends early; copy the file again.'
    """

    def __init__(self, file: str | PathLike[str], reason: str, remedy: str, case: str = "") -> None:
        self.file, self.reason, self.remedy, self.case = str(file), reason, remedy, case
        where = f"{self.file} (case {case})" if case else self.file
        super().__init__(f"{where}: {reason}; {remedy}.")

    def __reduce__(self) -> tuple[type["RefusedFile"], tuple[str, str, str, str]]:
        """Travel between processes: exceptions are otherwise rebuilt from their text alone."""
        return RefusedFile, (self.file, self.reason, self.remedy, self.case)

    @property
    def beyond_size(self) -> bool:
        """Whether the file, its content or its claims are larger than the limits allow, and not wrong in themselves."""
        return any(f"{PREFIX}{name.upper()}" in self.remedy for name in OF_SIZE)

    def problem(self, case: str) -> Problem:
        """Return the same refusal as a row of `equipoise check`, under the name of its case."""
        return Problem(case=case, file=self.file, problem=self.reason, remedy=self.remedy)

    def of_case(self, case: str) -> "RefusedFile":
        """Return the same refusal, its sentence naming the case."""
        return RefusedFile(self.file, self.reason, self.remedy, case)
