"""The command line: one function per command, without logic of its own."""

import argparse
import gc
import json
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from equipoise import __version__
from equipoise.cli_audit import add_audit_options, settings_of
from equipoise.cli_data import add_fetch_options, add_init_options, add_no_code, with_own_options
from equipoise.cli_deploying import Outcome, add_deploying_commands
from equipoise.cli_listing import add_listing_commands
from equipoise.cli_live import add_track_option, display, finished, follow, spelt, watch_options
from equipoise.cli_names import add_names_command
from equipoise.cli_options import samplesize_options
from equipoise.cli_parser import decimal, top_parser
from equipoise.errors import EquipoiseError, Interrupted
from equipoise.lookup import code_refused
from equipoise.progress import Display, Watch, silent
from equipoise.runfolder.paths import PROTOCOL, REPORT, STUDY_PAGE
from equipoise.sinks import printable

# Commands import what they need inside their function: `--help` and a mistyped option answer at once, without the
# seconds that numpy, scipy and torch take to load.
# 75 is EX_TEMPFAIL of sysexits.h: a scheduler that knows it starts the same command again, which resumes.
DONE, REFUSED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 75
Command = Callable[[argparse.Namespace], int]


def _demo(arguments: argparse.Namespace) -> int:
    from equipoise.trials.demo import demo

    plan = demo(arguments.quick, arguments.out)
    if not arguments.quiet:
        sys.stderr.write(f"{plan.time}\n")
    arguments.protocol, arguments.out = plan.protocol, str(plan.out)
    code = _run(arguments)
    if code == DONE and not arguments.json:
        _say(arguments, None, plan.closing())
    return code


def _init(arguments: argparse.Namespace) -> int:
    from equipoise.trials.init import BUILT_IN, MINUTES, cohort_settings, start

    minutes = MINUTES if arguments.minutes is None else arguments.minutes
    to_fit = {"minutes": minutes, "device": arguments.device, "watch": _watch(arguments)}
    source = arguments.source or BUILT_IN
    try:
        started = start(source, Path(arguments.out), cohort_settings(arguments.set), **to_fit)
    except EquipoiseError as error:
        raise EquipoiseError(with_own_options(str(error), arguments, PROTOCOL)) from error
    if arguments.source is None:
        started = started.on_built_in_data()
    lines = [*started.sentences, f"wrote {started.file}; next: equipoise check {shlex.quote(str(started.file))}"]
    _say(arguments, {"protocol": str(started.file), "sentences": list(started.sentences)}, "\n".join(lines))
    return DONE


def _fetch(arguments: argparse.Namespace) -> int:
    from equipoise.cohorts.public.fetch import described, fetch

    above = Path(arguments.to) if arguments.to else None
    patients = [name for name in arguments.patients.split(",") if name]
    fetched = fetch(
        arguments.name, above, mirror=arguments.mirror, offline=arguments.offline, pin=arguments.pin,
        patients=patients, watch=_watch(arguments),
    )  # fmt: skip
    _say(arguments, *described(fetched, above))
    return DONE


def _check(arguments: argparse.Namespace) -> int:
    from equipoise.protocol.study import is_study

    if is_study(arguments.protocol):
        return _check_study(arguments)
    protocol = spelt(arguments.protocol)
    from equipoise.trials.check import check

    checked = check(protocol, watch=_watch(arguments))
    if arguments.page:
        _write(Path(arguments.page), checked.page())
    _say(arguments, checked.as_json(), checked.text())
    return DONE if checked.may_run else REFUSED


def _check_study(arguments: argparse.Namespace) -> int:
    from equipoise.trials.study import check_study, checked_json, checked_text

    if arguments.page:
        raise EquipoiseError(
            "--page describes the cohort of one trial, but this file is a study of several trials; leave --page out"
        )
    checks = check_study(arguments.protocol, watch=_watch(arguments))
    _say(arguments, checked_json(checks), checked_text(checks))
    return DONE if all(one.may_run for one in checks.values()) else REFUSED


def _run(arguments: argparse.Namespace) -> int:
    from equipoise.protocol.study import is_study

    if is_study(arguments.protocol):
        return _run_study(arguments)
    results = finished(arguments)
    if results is None:
        protocol = spelt(arguments.protocol)
        with display(arguments) as watch:
            results = _trained(arguments, protocol, watch)
    _say_results(arguments, results, Path(arguments.out))
    return DONE


def _trained(arguments: argparse.Namespace, protocol: Any, watch: Watch) -> dict[str, Any]:
    from equipoise.trials.run import run

    how = {name: getattr(arguments, name) for name in ("engine", "ray_address", "stall_minutes", "alike")}
    return run(protocol, arguments.out, **how, watch=watch)


def _watch_run(arguments: argparse.Namespace) -> int:
    state = follow(arguments)
    _say(arguments, state, "" if arguments.quiet else f"{state['name']}: {state['phase']}")
    return DONE if state["ended"] or arguments.once else INTERRUPTED


def _run_study(arguments: argparse.Namespace) -> int:
    from equipoise.engines.execution import Execution
    from equipoise.trials.study import run_study

    how = Execution(arguments.engine, arguments.ray_address, arguments.stall_minutes, arguments.alike)
    results = run_study(arguments.protocol, arguments.out, how=how, watch=_watch(arguments))
    return _say_study(arguments, results, Path(arguments.out))


def _say_study(arguments: argparse.Namespace, results: dict[str, Any], folder: Path) -> int:
    from equipoise.report.study.page import study_answers

    sentences = [entry.answer for entry in study_answers(results)]
    _say(arguments, results, "\n".join([*sentences, f"report: {folder / STUDY_PAGE}"]))
    return DONE


def _report(arguments: argparse.Namespace) -> int:
    from equipoise.report import is_study_folder, report_study, write_report

    if is_study_folder(Path(arguments.folder)):
        results = report_study(Path(arguments.folder), arguments.trust_code)
        return _say_study(arguments, results, Path(arguments.folder))
    folder, trust = Path(arguments.folder), arguments.trust_code
    results = write_report(folder, arguments.figure, Path.cwd(), trust_code=trust)
    if arguments.pdf:
        from equipoise.report.pdf import write_pdf

        write_pdf(folder)
    _say_results(arguments, results, folder)
    return DONE


def _audit(arguments: argparse.Namespace) -> int:
    from equipoise.trials.audit import audit_as_stated

    results = audit_as_stated(
        arguments.predictions, settings_of(arguments), arguments.out, _watch(arguments), as_written=True
    )
    # On stderr also with --quiet: how a file was read is no progress, and a wrong reading gives a wrong verdict.
    sys.stderr.writelines(f"note: {note}\n" for note in results["assumptions"])
    _say_results(arguments, results, Path(arguments.out))
    return DONE


def _samplesize(arguments: argparse.Namespace) -> int:
    from equipoise.trials.samplesize import samplesize

    planned = samplesize(
        arguments.pilot, primary=arguments.primary, difference=arguments.difference, alpha=arguments.alpha,
        power=arguments.power, seeds=arguments.seeds, control=arguments.control, positive=arguments.positive,
        columns=arguments.columns, patients=arguments.patients, cases_are_patients=arguments.cases_are_patients,
        trust_code=arguments.trust_code, scores=arguments.scores, common_cases=arguments.common_cases,
        below_chance=arguments.below_chance, truth=arguments.truth, regions=arguments.regions,
    )  # fmt: skip
    if arguments.out:
        page = Path(arguments.out).suffix.lower() in (".html", ".htm")
        _write(Path(arguments.out), planned.page() if page else planned.text.plain())
    _say(arguments, planned.as_json(), planned.text.plain().rstrip())
    return DONE


def _advise(arguments: argparse.Namespace) -> int:
    from equipoise.report import advise, export_notes, export_step, read_folder, results_of

    run = read_folder(Path(arguments.folder), arguments.trust_code)
    results = results_of(run)
    advice = advise(results, arguments.prefer, arguments.max_latency_ms)
    advice |= {"exploratory": results["exploratory_reasons"]} if results["exploratory_reasons"] else {}
    text = advice["reason"] if advice["arm"] is None else f"Use {advice['display']}. {advice['reason']}"
    text = " ".join([text, *(one["reason"] for one in advice.get("left_out") or ())])
    advice["next"] = export_step(run, results, advice, arguments.folder)
    command = [] if advice["next"] is None else [f"next: {advice['next']}"]
    advice["notes"] = export_notes(run, results, advice)
    _say(arguments, advice, "\n".join([text, *command, *advice["notes"]]))
    return DONE


def _deployed(act: Callable[[argparse.Namespace, Watch], Outcome]) -> Command:
    """Return a command that says what came of an act, and ends with 1 where a part of it failed."""

    def command(arguments: argparse.Namespace) -> int:
        """Act, and say what came of it."""
        value, text, failed = act(arguments, _watch(arguments))
        _say(arguments, value, text)
        return REFUSED if failed else DONE

    return command


def _ledger(arguments: argparse.Namespace) -> int:
    from equipoise.runfolder.deposit import verification, write_deposit
    from equipoise.runfolder.read import read_folder
    from equipoise.runfolder.seal import unsealed

    folder = Path(arguments.folder)
    run = read_folder(folder, arguments.trust_code)
    if arguments.action == "deposit":
        file = Path(arguments.out or folder.resolve().with_name(f"{folder.resolve().name}-deposit.json"))
        deposit = write_deposit(run, file)
        text = f"{file}: head {deposit['head']} of {deposit['events']} events; give this file to a third party"
        _say(arguments, deposit, text)
        return DONE
    state = verification(run, Path(arguments.deposit) if arguments.deposit else None)
    chain = f"head {state['head'] or 'none'} of {state['events']} events; test openings: {state['test_openings']}"
    state["notes"] += [*unsealed(folder), *(f"exploratory: {text}" for text in run.ledger.cautions)]
    verdict = f"{'verified' if state['verified'] else 'not verified'}: {chain}"
    _say(arguments, state, "\n".join([verdict, *state["problems"], *state["notes"]]))
    return DONE if state["verified"] else REFUSED


def _say_results(arguments: argparse.Namespace, results: dict[str, Any], folder: Path) -> None:
    from equipoise.report.text.terminal import sentences_of

    _say(arguments, results, "\n".join([*sentences_of(results), f"report: {folder / REPORT}"]))


def _say(arguments: argparse.Namespace, value: object, text: str) -> None:
    from equipoise.engines.ranks import leads

    # Under torchrun every process runs this command; only the first may print, or the output would appear repeatedly.
    if leads():
        sys.stdout.write((json.dumps(value) if arguments.json else printable(text)) + "\n")


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EquipoiseError(f"{file} cannot be written ({error}); name another file") from error


def _watch(arguments: argparse.Namespace) -> Watch:
    return silent if arguments.quiet else Display()


def _parser() -> argparse.ArgumentParser:
    """Build the parser of all commands with their options."""
    parser = top_parser(__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, command: Command, text: str) -> argparse.ArgumentParser:
        """Add one command with the options that every command has."""
        sub = commands.add_parser(name, help=text, description=text)
        sub.add_argument("--json", action="store_true", help="print the result as JSON")
        sub.add_argument("--quiet", action="store_true", help="show no progress")
        sub.add_argument("--debug", action="store_true", help="show where an error comes from")
        sub.set_defaults(command=command)
        return sub

    demo = add("demo", _demo, "the built-in trial: three architectures on real LIDC-IDRI annotations")
    demo.add_argument("--quick", action="store_true", help="two small networks: a verdict within a minute")
    demo.add_argument("--out", metavar="DIR", help="run folder (default: equipoise-demo, or equipoise-quick)")
    add_track_option(demo)
    demo.set_defaults(engine="local", ray_address=None, stall_minutes=None, alike=False)

    init = add("init", _init, "write a commented protocol fitted to the data")
    init.add_argument("source", nargs="?", help="a data folder, or the name of a source (default: built-in data)")
    init.add_argument("--out", default=PROTOCOL, metavar="FILE", help="the file to write (default: %(default)s)")
    add_init_options(init)

    add_fetch_options(add("fetch", _fetch, "download public data by name, verified and resumable"))

    check = add("check", _check, "read the cohort, check for leaks, report what the trial can show; trains nothing")
    check.add_argument("protocol", help="the protocol file")
    check.add_argument("--page", metavar="FILE", help="also write a page with pictures of cases, leaks and problems")

    run = add("run", _run, "lock the plan, train, open the test set once, give the verdict; the same command resumes")
    run.add_argument("protocol", help="the protocol file")
    run.add_argument("--out", default="run", metavar="DIR", help="run folder (default: %(default)s)")
    _execution_options(run)
    add_track_option(run)

    watch_options(add("watch", _watch_run, "follow a trial from another shell: its epochs, losses and time left"))

    _reading_commands(add)
    for command in (init, check, run, commands.choices["audit"]):
        add_no_code(command)
    add_names_command(lambda name, act, text: add(name, _deployed(act), text))
    add_deploying_commands(lambda name, act, text: add(name, _deployed(act), text))
    add_listing_commands(lambda name, act, text: add(name, _deployed(act), text), parser)
    return parser


def _execution_options(run: argparse.ArgumentParser) -> None:
    """Add the options of where jobs run, and of those that stand still."""
    run.add_argument("--engine", default="local", choices=["local", "ray"], help="where jobs run (docs/scale.md)")
    run.add_argument("--ray-address", metavar="HOST:PORT", help="join this Ray cluster (default: $RAY_ADDRESS)")
    run.add_argument(
        "--stall-minutes", type=decimal, metavar="N",
        help="stop the worker of a job that has no new epoch (prediction: no answer) for N minutes, and retry the job",
    )  # fmt: skip
    run.add_argument("--alike", action="store_true", help="refuse to train on more than one kind of machine")


def _reading_commands(add: Callable[[str, Command, str], argparse.ArgumentParser]) -> None:
    """Add the commands that read what a trial or another tool has left, and train nothing."""
    report = add("report", _report, "recompute results.json and report.html from predictions alone")
    report.add_argument("folder", metavar="DIR", help="the run folder")
    report.add_argument("--pdf", action="store_true", help="also print the page to report.pdf, by Chromium or Chrome")
    report.add_argument(
        "--figure", action="append", default=[], metavar="MODULE:FUNCTION",
        help="a figure of your own, (run, results) -> Figure, from a module in this folder (repeatable)",
    )  # fmt: skip

    add_audit_options(add("audit", _audit, "the same analysis for predictions made elsewhere"))

    samplesize_options(add("samplesize", _samplesize, "the patients and runs that a planned trial needs, for a grant"))

    advise = add("advise", _advise, "recommend an arm for one need, and list the arms statistically tied with it")
    advise.add_argument("folder", metavar="DIR", help="the run folder")
    needs = ["accuracy", "speed", "memory", "balanced"]
    advise.add_argument("--prefer", default="accuracy", choices=needs, help="the need (default: %(default)s)")
    advise.add_argument(
        "--max-latency-ms", type=decimal, metavar="N", help="leave out arms slower than this for one case"
    )

    ledger = add("ledger", _ledger, "verify a run folder against its ledger, or deposit the ledger's head elsewhere")
    ledger.add_argument("action", choices=["verify", "deposit"], help="what to do")
    ledger.add_argument("folder", metavar="DIR", help="the run folder")
    ledger.add_argument("--deposit", metavar="FILE", help="verify: compare with a file that was deposited")
    ledger.add_argument("--out", metavar="FILE", help="deposit: the file to write (default: DIR-deposit.json)")
    for command in (report, advise, ledger):
        command.add_argument(
            "--trust-code", action="store_true",
            help="run code that the folder names (custom tasks and endpoints); read it first",
        )  # fmt: skip


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code is 0 done, 1 refused or failed, 2 wrong usage, 75 interrupted and resumable."""
    arguments = _parser().parse_args(argv)
    # Python's own 700 looks through the young objects after every dozen cases of a large cohort: two fifths of the
    # time in which 100,000 known files are hashed. Above 10,000 little is gained, and more garbage would wait. The
    # older objects, nearly all of which stay, are looked through ten times less often: a twelfth of a second check.
    gc.set_threshold(10_000, 50, 100)
    # A scheduler ends a job by SIGTERM. As KeyboardInterrupt it takes the way of Ctrl-C, which leaves a resumable run.
    signal.signal(signal.SIGTERM, _stop)
    command: Command = arguments.command
    try:
        with code_refused(getattr(arguments, "no_code", False)):
            return command(arguments)
    except Interrupted as error:
        return _complain(arguments, error, INTERRUPTED)
    except KeyboardInterrupt:
        return _complain(arguments, Interrupted("stopped before anything started"), INTERRUPTED)
    except EquipoiseError as error:
        return _complain(arguments, error, REFUSED)
    except OSError as error:
        # A command that writes names the remedy for itself; this is the rest, as a report into a read-only folder.
        return _complain(arguments, EquipoiseError(f"a file could not be read or written ({error})"), REFUSED)


def _complain(arguments: argparse.Namespace, error: Exception, code: int) -> int:
    if arguments.debug:
        raise error
    # On stdout too, so that a program that reads JSON sees the error where it expects the result.
    if arguments.json:
        sys.stdout.write(json.dumps({"error": str(error)}) + "\n")
    sys.stderr.write(f"equipoise: {printable(str(error))}\n")
    return code
