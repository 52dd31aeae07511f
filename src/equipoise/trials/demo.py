"""The demo, whole or quick: which trial it is, how long it takes, and what to try next."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from equipoise.trials.init import example


@dataclass(frozen=True)
class Demo:
    """A built-in trial on real annotations.

    time: said before anything is computed. next: three (purpose, command), the last on CT pixels.
    """

    protocol: Path
    out: Path
    time: str
    next: tuple[tuple[str, str], ...]

    def closing(self) -> str:
        """Return what to try next, one line each."""
        width = max(len(purpose) for purpose, _ in self.next) + 2
        return "\n".join(["Try next:", *(f"  {purpose + ':':<{width}}{command}" for purpose, command in self.next)])


def demo(quick: bool, out: str | None) -> Demo:
    """Return the demo; quick: a small trial with a verdict within a minute. out: the run folder; None: the usual."""
    protocol = example("quick" if quick else "lidc-malignancy")
    folder = Path(out or ("equipoise-quick" if quick else "equipoise-demo"))
    ct = example("lidc-nodules")
    same = (
        "the same question on CT pixels (124 GB)",
        f"equipoise fetch lidc-idri && equipoise run {shlex.quote(str(ct))} --out equipoise-ct",
    )
    own = ("your own images", "equipoise init FOLDER --minutes 60")
    if quick:
        time = "2 small networks × 3 training runs on real lung nodules: about a minute on two cores."
        return Demo(protocol, folder, time, (("the whole demo, about five minutes", "equipoise demo"), own, same))
    time = (
        "4 arms × 3 training runs on real lung nodules: about five minutes on two cores. A smaller trial, with a "
        "verdict within a minute: equipoise demo --quick"
    )
    fast = ("the arm for a slow computer", f"equipoise advise {shlex.quote(str(folder))} --prefer speed")
    return Demo(protocol, folder, time, (fast, own, same))
