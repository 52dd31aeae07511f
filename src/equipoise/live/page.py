"""A page that shows a trial while it runs, and loads itself again; the folder's owner decides where it lies."""

from markupsafe import Markup

from equipoise.live import words
from equipoise.live.state import FAILED, RUNNING, JobState, TrialState
from equipoise.report.figures.learning import learning_figure
from equipoise.report.figures.svg import style_sheet
from equipoise.report.pages.explained import template_text
from equipoise.report.pages.page import environment_of_pages, figure_drawings
from equipoise.runfolder.read import JobRecord


def live_page(state: TrialState, every: float | None) -> str:
    """Return the page as HTML, which asks for itself again after so many seconds; None: no more, the trial is over.

    It names arms and seeds, never a case or a patient.
    """
    arms = list(dict.fromkeys(job.arm for job in state.jobs))
    curves = learning_figure([_record(job) for job in state.jobs], arms)
    return environment_of_pages().get_template("live.html.j2").render(
        css=Markup(style_sheet() + template_text("page.css")),  # noqa: S704 - our own files
        state=state,
        every=None if every is None else max(1, round(every)),
        heading=words.heading(state),
        heads=words.heads(state),
        rows=[(job.status, words.row(state, job)) for job in state.jobs],
        share=100 * state.epochs()[0] / max(1, state.epochs()[1]),
        marks={RUNNING: "running", FAILED: "failed"},
        curves=None if curves is None else figure_drawings(curves),
        seen_at=state.seen_at.strftime("%Y-%m-%d %H:%M:%S UTC"),
    )  # fmt: skip


def _record(job: JobState) -> JobRecord:
    done = {} if job.chosen is None else {"chosen_epoch": job.chosen}
    return JobRecord(job.arm, job.fold, job.seed, job.status, done=done, history=dict(job.history), draw=job.draw)
