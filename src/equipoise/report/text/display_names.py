"""The names of arms and trivial rules, the same on a page and in the sentences of results.json."""

from equipoise.report.text.words import baseline_name
from equipoise.runfolder.read import RunFolder


def display_names(run: RunFolder) -> dict[str, str]:
    """Return the display names of all arms and baselines."""
    size = run.lock["cohort"].get("size_attribute")
    names = {name: name for name in (*run.arms(), *(str(arm["name"]) for arm in run.untuned()))}
    return names | {job.arm: baseline_name(job.arm, size) for job in run.baselines if job.arm not in names}
