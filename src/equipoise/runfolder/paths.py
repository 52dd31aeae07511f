"""All file and folder names of a run folder and of a study's folder; no other module spells one.

    OUT/                                     of a trial: a run folder; of a study: OUT/<cohort>/<model>/ are run folders
      protocol.toml cases.csv lock.json ledger.jsonl                     the plan and the ledger
      jobs/<arm>/<fold>-<seed>/   done.json history.csv rates.csv checkpoint/ predictions.parquet slices.npz
      jobs/…/.writer.json .writer-<token>/                               while it trains: its writer, unfinished files
      jobs/…/nnunet/ nnunet.json                                         of nnU-Net: while it trains, and what it chose
      jobs/<arm>/draws/<fold>-<draw>/                                    the same, of a draw of tuning
      baselines/<rule>/<fold>-0/                                         predictions of a trivial rule
      samples/<fold>/<part>/                                             prepared cases, while jobs need them
      results.json report.html report.pdf figures/ tables/ thumbnails.npz truths.npz pictures.json attributions.json
      attributions.npz
      by-case/                                                           the second run, split by case

Names that come from data or from a protocol become part of a path through `component` or `file_stem` alone; neither
gives a path that leaves its folder. This module imports only `errors`, so every package may import it.
"""

import hashlib
import re
from pathlib import Path

from equipoise.errors import ProtocolError

LOCK = "lock.json"
LEDGER = "ledger.jsonl"
PROTOCOL = "protocol.toml"
CASES = "cases.csv"
RESULTS = "results.json"
REPORT = "report.html"
FIGURES = "figures"
MODEL_CARDS = "model-cards"
TIMINGS = "timings"
PAGES = "pages"
THUMBNAILS = "thumbnails.npz"
TRUTHS = "truths.npz"
PICTURES = "pictures.json"
TABLES = "tables"
REPORT_PDF = "report.pdf"
ATTRIBUTIONS = "attributions.json"
ATTRIBUTION_MAPS = "attributions.npz"
BY_CASE = "by-case"
MARKER = ".equipoise"
CLAIM = ".claim"
LEASE = ".lease"
"""How the names of lease files begin, which hold a run folder where the file system knows no locks."""
WRITER = ".writer.json"
DRAFTS_OF = ".writer-"
BEAT = "beat"
SEAL = ".sealed.json"

JOBS, BASELINES, SAMPLES, DRAWS = "jobs", "baselines", "samples", "draws"
CHECKPOINT = "checkpoint"
WEIGHTS = "model.safetensors"
DONE = "done.json"
HISTORY = "history.csv"
RATES = "rates.csv"
PREDICTIONS = "predictions.parquet"
CANDIDATES = "candidates.parquet"
SLICES = "slices.npz"
SAMPLE_INDEX = "cases.json"
EXTERNAL = "nnunet"
"""The folder in a job's folder in which nnU-Net works; it is removed when the job has ended."""
NNUNET_FACTS = "nnunet.json"
"""Plan, configuration and versions of a job that nnU-Net trained: with the weights, all that its answers need."""

STUDY_PLAN = "study-plan.json"
STUDY_FILE = "study.toml"
STUDY_RESULTS = "study.json"
STUDY_PAGE = "study.html"
STUDY_TABLES = "tables.md"

LONGEST = 200
"""Bytes of a name that becomes part of a path; file systems allow 255, suffixes and temporary names need the rest."""

_PLAIN = re.compile(r"[^\W_][\w.-]*")
_FOLD_SEED = re.compile(r"(\d+)-(\d+)")


def component(name: str, what: str) -> str:
    """Return the name where it is valid as a folder or file name; else raise ProtocolError.

    what: the owner of the name in the error message, such as "the arm".

    >>> component("unet-3d", "the arm")
    'unet-3d'
    """
    if not _fits(name):
        # Refused and not replaced as in `file_stem`: an arm's folder must have the arm's name, which readers compare.
        raise ProtocolError(
            f"the name {name[:80]!r} of {what} cannot be the name of a folder; use letters, digits, '.', '-' and "
            f"'_', beginning with a letter or digit, at most {LONGEST} bytes"
        )
    return name


def file_stem(name: str) -> str:
    """Return a file name without suffix for any text: equal for equal texts, different for different texts.

    A valid file name is unchanged. In any other text each invalid character is replaced by "_", and eight digits of the
    text's hash keep different texts different.

    >>> file_stem("sex"), file_stem("M/F")
    ('sex', 'M_F-cdf73d00')
    """
    if _fits(name):
        return name
    # Names from file systems may hold lone surrogates, which plain UTF-8 cannot encode.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    letters = re.sub(r"[^\w.-]", "_", name.encode("ascii", "replace").decode())[: LONGEST - 12].strip("._-")
    return f"{letters or 'name'}-{digest}"


def _fits(name: str) -> bool:
    """Return whether a name is one component of a path, and not a hidden file, "." or ".."."""
    # Bytes and not characters, because file systems limit bytes.
    return _PLAIN.fullmatch(name) is not None and len(name.encode()) <= LONGEST


def job_name(arm: str, fold: int, seed: int) -> str:
    """Return arm/fold-seed, the name of a job in the ledger and in messages."""
    return f"{component(arm, 'an arm')}/{fold}-{seed}"


def draw_name(arm: str, fold: int, draw: int) -> str:
    """Return arm/draws/fold-draw, the name of a draw of tuning."""
    return f"{component(arm, 'an arm')}/{DRAWS}/{fold}-{draw}"


def job_folder(run: Path, arm: str, fold: int, seed: int) -> Path:
    """Return the folder of one training run."""
    return run / JOBS / job_name(arm, fold, seed)


def draw_folder(run: Path, arm: str, fold: int, draw: int) -> Path:
    """Return the folder of one draw of tuning."""
    return run / JOBS / draw_name(arm, fold, draw)


def job_file(job: str, name: str) -> str:
    """Return a job's file relative to the run folder; the ledger stores hashes under this path."""
    return f"{JOBS}/{job}/{name}"


def drafts_folder(job: Path, token: str) -> Path:
    """Return the folder of a writer's unfinished files; it is the writer's alone, as is the token."""
    return job / f"{DRAFTS_OF}{token}"


def run_of(job: Path) -> Path:
    """Return the run folder of a job's folder (not of a draw's)."""
    return job.parents[2]


def baseline_folder(run: Path, rule: str, fold: int) -> Path:
    """Return the folder of a trivial rule's predictions in one fold."""
    return run / BASELINES / component(rule, "a baseline") / f"{fold}-0"


def baseline_folders(run: Path) -> list[tuple[Path, str, int, int]]:
    """Return (folder, rule, fold, seed) of every baseline in a run folder, ordered by name."""
    matches = ((path, _FOLD_SEED.fullmatch(path.name)) for path in sorted((run / BASELINES).glob("*/*")))
    return [(path, path.parent.name, int(match[1]), int(match[2])) for path, match in matches if match]


def samples_folder(run: Path, fold: int) -> Path:
    """Return the folder of one fold's prepared cases, with a subfolder per part."""
    return run / SAMPLES / str(fold)


def model_card(run: Path, arm: str) -> Path:
    """Return the file of an arm's model card."""
    return run / MODEL_CARDS / f"{component(arm, 'an arm')}.md"


def runtime_timings(run: Path, arm: str) -> Path:
    """Return the file of how long each runtime took for one case when an arm was exported."""
    return run / TIMINGS / f"{component(arm, 'an arm')}.json"


def example_page(run: Path, arm: str, case: str) -> Path:
    """Return the file of the page of an example case, as the exported arm answers it."""
    return run / PAGES / component(arm, "an arm") / f"{file_stem(case)}.html"


def without_channel(job: Path, channel: int) -> Path:
    """Return the file of a job's test predictions with one channel blank."""
    return job / f"without-{channel}.parquet"


def candidates_beside(predictions: Path) -> Path:
    """Return the file of the candidates that belong to a detector's table of cases.

    >>> candidates_beside(Path("predictions.parquet")).name, candidates_beside(Path("without-0.parquet")).name
    ('candidates.parquet', 'without-0-candidates.parquet')
    """
    name = CANDIDATES if predictions.name == PREDICTIONS else f"{predictions.stem}-{CANDIDATES}"
    return predictions.with_name(name)


def trial_folder(study: Path, cohort: str, model: str) -> Path:
    """Return the run folder of one trial of a study."""
    return study / component(cohort, "a cohort") / component(model, "a network")
