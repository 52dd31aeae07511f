"""The errors a user may meet: one sentence each, saying what was found, where, and what to do next."""


class EquipoiseError(Exception):
    """Something the user can correct; the command line prints its one sentence and exits with 1."""


class ProtocolError(EquipoiseError):
    """A protocol that cannot be run as written."""


class CohortError(EquipoiseError):
    """A cohort that cannot be read, or that would fool whoever trusted it."""


class FileRefused(CohortError):
    """An untrusted file that is corrupt, too large, or not what it claims to be."""


class LedgerError(EquipoiseError):
    """A run folder whose record does not match what lies in it."""


class PredictionError(EquipoiseError):
    """Predictions from which no honest number can be computed."""


class Superseded(EquipoiseError):
    """Another process does this one's work now, which must write nothing more; no failure of an arm."""


class Interrupted(EquipoiseError):
    """The user stopped the run; the same command resumes it (exit code 75)."""


def in_one_line(text: object, most: int = 400) -> str:
    """Return a text as one line: line ends and runs of blanks become one blank, and what is too long is cut.

    >>> in_one_line("Error(s) in loading:\\n\\tMissing key(s): 'a'."), in_one_line("abcdef", 4)
    ("Error(s) in loading: Missing key(s): 'a'.", 'abc…')
    """
    line = " ".join(str(text).split())
    return line if len(line) <= most else f"{line[: most - 1]}…"
