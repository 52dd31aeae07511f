"""The commands that take an arm into use: their options, and one function each that acts and returns what to say."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from equipoise.cli_parser import decimal
from equipoise.progress import Watch

Outcome = tuple[Any, str, bool]
"""The result as plain values, the same in words, and whether a part of it failed."""
Act = Callable[[argparse.Namespace, Watch], Outcome]


def export_arm(arguments: argparse.Namespace, watch: Watch) -> Outcome:
    """Write an arm as a bundle."""
    from equipoise.deploy.export import export
    from equipoise.report import example_cases, summarise

    results = summarise(Path(arguments.folder), arguments.trust_code)
    shown = example_cases(Path(arguments.folder), arguments.trust_code)[1] if arguments.pages else ()
    written = export(
        arguments.folder, arguments.arm, arguments.out, results=results, job=arguments.job,
        although=arguments.although, protocol=arguments.protocol, trust_code=arguments.trust_code,
        runtimes=arguments.runtimes, pages=shown, watch=watch,
    )  # fmt: skip
    name = written["sha256"][:12]
    line = (
        f"wrote {arguments.out}, the bundle {name} of {written['job']}; next: complete the author's rows of its CARD.md"
    )
    return written, line, False


def verify_bundle(arguments: argparse.Namespace, _: Watch) -> Outcome:
    """Check a bundle on this machine."""
    from equipoise.deploy.verify import verify

    checked = verify(arguments.bundle, sha256=arguments.name, runtime=arguments.runtime)
    return checked.as_json(), checked.text(), False


def predict_images(arguments: argparse.Namespace, watch: Watch) -> Outcome:
    """Answer new images."""
    from equipoise.deploy.predict import predict

    formats = f"{arguments.formats},page" if arguments.page else arguments.formats
    summary = predict(
        arguments.bundle, arguments.inputs, arguments.out, formats=formats, series_uid=arguments.series,
        strict=arguments.strict, most_gb=arguments.max_memory, runtime=arguments.runtime, watch=watch,
    )  # fmt: skip
    return summary.as_json(), summary.text(), bool(summary.failed)


def serve_bundle(arguments: argparse.Namespace, _: Watch) -> Outcome:
    """Answer requests over HTTP until Ctrl-C."""
    from equipoise.deploy.serving.server import announcement, serve, to_stderr, unheard

    address = serve(
        arguments.bundle, host=arguments.host, port=arguments.port,
        token=Path(arguments.token_file) if arguments.token_file else None, runtime=arguments.runtime,
        largest_mb=arguments.max_mb, memory_gb=arguments.max_memory,
        log=unheard if arguments.quiet else to_stderr,
        ready=lambda listening: to_stderr(announcement(listening)),
    )  # fmt: skip
    return {"url": address.url}, f"stopped serving at {address.url}", False


def add_deploying_commands(add: Callable[[str, Act, str], argparse.ArgumentParser]) -> None:
    """Add the commands that take an arm into use."""
    _add_export(add)
    verify = add(
        "verify", verify_bundle, "check a bundle's files, and reproduce its golden predictions on this machine"
    )
    verify.add_argument("bundle", metavar="BUNDLE", help="the folder or zip file")
    verify.add_argument("--name", metavar="NAME", help="the SHA-256 published by its author, at least 12 digits")
    _runtime(verify)
    _add_predict(add)
    _add_serve(add)


def _add_export(add: Callable[[str, Act, str], argparse.ArgumentParser]) -> None:
    export = add("export", export_arm, "prove that an arm can be rebuilt, and write it as a bundle of data")
    export.add_argument("folder", metavar="RUN", help="the run folder")
    export.add_argument("--arm", required=True, metavar="NAME", help="the arm to export")
    export.add_argument("--job", metavar="FOLD-SEED", help="a training run (default: the median validation value)")
    export.add_argument(
        "--although", metavar="REASON", help="export against the verdict of the trial; the card prints the reason"
    )
    export.add_argument(
        "--protocol", metavar="FILE", help="the protocol file beside the data and code, if they were moved"
    )
    text = "run custom code that the folder names; read it first"
    export.add_argument("--trust-code", action="store_true", help=text)
    export.add_argument(
        "--runtimes", default="", metavar="NAMES",
        help="also prove these runtimes: openvino, openvino-bf16, openvino-int8, joined by commas",
    )  # fmt: skip
    text = "also write a page for each example case into the run folder; its report links them"
    export.add_argument("--pages", action="store_true", help=text)
    export.add_argument("--out", required=True, metavar="BUNDLE", help="the new folder of the bundle")


def _add_predict(add: Callable[[str, Act, str], argparse.ArgumentParser]) -> None:
    predict = add("predict", predict_images, "predict new images with a bundle; the same command resumes")
    predict.add_argument("bundle", metavar="BUNDLE", help="the folder or zip file")
    predict.add_argument("inputs", nargs="+", metavar="INPUT", help="images, folders of them, DICOM series, or a table")
    predict.add_argument("--out", required=True, metavar="DIR", help="folder of the predictions")
    predict.add_argument(
        "--as", dest="formats", default="nifti,json", metavar="KINDS",
        help="output formats, joined by commas: nifti, json, seg, labelmap, sr, rtstruct, page (default: %(default)s)",
    )  # fmt: skip
    predict.add_argument(
        "--page", action="store_true", help="also write an offline page per case, and an index (as page in --as)"
    )
    predict.add_argument("--series", metavar="UID", help="the DICOM series to use, in a folder of several")
    predict.add_argument("--strict", action="store_true", help="refuse images outside the training limits")
    predict.add_argument("--max-memory", type=decimal, metavar="GB", help="refuse images that need more memory")
    _runtime(predict)


def _add_serve(add: Callable[[str, Act, str], argparse.ArgumentParser]) -> None:
    serve = add("serve", serve_bundle, "predict images over HTTP on this machine, until Ctrl-C")
    serve.add_argument("bundle", metavar="BUNDLE", help="the folder or zip file")
    serve.add_argument(
        "--port", type=int, default=8790, metavar="N", help="the port; 0 chooses a free one (default: %(default)s)"
    )
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="the address to listen on (default: this machine only)"
    )
    serve.add_argument(
        "--token-file", metavar="FILE",
        help="file of the token that requests must send; created if missing (default: in the user's state folder)",
    )  # fmt: skip
    serve.add_argument(
        "--max-mb", type=decimal, metavar="MB", help="largest request, also when unpacked (default: depends on the arm)"
    )
    serve.add_argument("--max-memory", type=decimal, metavar="GB", help="refuse images that need more memory")
    _runtime(serve)


def _runtime(parser: argparse.ArgumentParser) -> None:
    names = ["onnx", "torch", "openvino", "openvino-bf16", "openvino-int8"]
    parser.add_argument(
        "--runtime", default="onnx", choices=names, help="the runtime that computes (default: %(default)s)"
    )
