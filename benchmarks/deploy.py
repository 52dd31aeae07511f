"""What a bundle costs where it is used: imports, its runtimes beside eager torch, masks brought back, peak memory.

    python benchmarks/deploy.py [--rounds 5] [--only imports,pictures,volume,back,memory] [--large 512,512,600]

All ratios are of processor time with one thread in one run, eager torch over the runtime (higher is faster), so that
a busy machine distorts both alike; medians of the rounds. Networks are built in, with random weights: time does not
ask what they learned. OpenVINO has rows where it is installed. `imports` and `memory` run in processes of their own,
where torch cannot be imported. `back` is the time after the network (decisions back on the stored grid, and the file)
over the network's. `memory` answers a NIfTI file of noise by `predict`, five classes, by a network of one layer in
windows, so that what is measured are the arrays.
"""

import sys

sys.path.append(sys.path.pop(0))  # Python's own statistics before the statistics.py of this folder

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

WITHOUT_TORCH = "import sys\nfor name in ('torch', 'onnx', 'onnxscript'): sys.modules[name] = None\n"
PICTURE_TARGETS = {"ONNX Runtime": "(targets: 3 and 1.3)", "openvino": "", "openvino-bf16": "(target: 2.5 for 32)"}
CLASSES = ("background", "a", "b", "c", "d")


def processor(act: Callable[[], object], rounds: int) -> float:
    act()
    spent = []
    for _ in range(rounds):
        start = time.process_time()
        act()
        spent.append(time.process_time() - start)
    return median(spent)


# The largest memory by the kernel's own count, which begins anew with the program; ru_maxrss is that of the parent too.
ENDING = """
import json, psutil, resource
from pathlib import Path
def peak(process):
    text = Path(f"/proc/{process.pid}/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024
me, use = psutil.Process(), resource.getrusage(resource.RUSAGE_SELF)
reading = max((peak(one) for one in me.children(recursive=True)), default=0)
print(json.dumps({"seconds": use.ru_utime + use.ru_stime, "peak": peak(me), "reading": reading, "more": more}))
"""


def child(code: str, *arguments: str) -> dict[str, Any]:
    """Run code where torch is not installed. peak: of the process; reading: of its sandbox for files, in MB."""
    command = [sys.executable, "-c", f"{WITHOUT_TORCH}more = {{}}\n{code}{ENDING}", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def imports(rounds: int) -> None:
    code = "import onnxruntime\nfrom equipoise.deploy.predict import predict"
    nothing, all_of_it = (median(child(one)["seconds"] for _ in range(rounds)) for one in ("", code))
    print(f"imports of predict and its runtime   {all_of_it - nothing:.2f} s of processor time (target: below 2)")


def runtimes(content: bytes) -> dict[str, Any]:
    """An ONNX file in every runtime that is installed, with one thread."""
    from importlib.util import find_spec

    from equipoise.deploy.openvino_network import BFLOAT16, FLOAT32, openvino_network
    from equipoise.deploy.runtimes import onnx_network

    made = {"ONNX Runtime": onnx_network(content, 1)}
    if find_spec("openvino") is not None:
        made |= {name: openvino_network(content, name, 1) for name in (FLOAT32, BFLOAT16)}
    return made


def pictures(rounds: int) -> None:
    import torch

    from equipoise import models
    from equipoise.deploy.onnx_file import onnx_bytes

    for name, network in (("U-Net", models.UNet), ("DeepLabV3+", models.DeepLab), ("DenseNet", models.DenseNet)):
        model = network(1, 2, 2, task="classification").eval()
        answers, ratios = runtimes(onnx_bytes(model, 1, (64, 64), dynamic=True)), {}
        for count in (1, 32):
            images = np.random.default_rng(0).normal(size=(count, 1, 64, 64)).astype(np.float32)
            with torch.inference_mode():
                # Many calls in one measurement: the clock of a process ticks in hundredths of a millisecond at best.
                eager = processor(
                    lambda i=images, m=model: [m(torch.from_numpy(i)) for _ in range(64 // len(i))], rounds
                )
            for which, answer in answers.items():
                spent = processor(lambda i=images, a=answer: [a(i) for _ in range(64 // len(i))], rounds)
                ratios[which, count] = eager / spent
        parameters = sum(one.numel() for one in model.parameters())
        for which in answers:
            print(
                f"{name:12} classifier, 64 × 64, {parameters:9,} parameters, {which:14} one case × "
                f"{ratios[which, 1]:.1f}   32 cases × {ratios[which, 32]:.1f} {PICTURE_TARGETS[which]}",
                flush=True,
            )


def contract(**changed: Any) -> Any:
    from equipoise.deploy.contract import Contract, Window
    from equipoise.preprocessing import Pipeline

    made = Contract(
        truth="mask",
        classes=CLASSES,
        channels=("image",),
        spatial_dims=3,
        pipeline=Pipeline.from_settings({"scale": "zscore"}),
        window=Window((32, 32, 32), 0.5, (), 1),
        regions={name: (number,) for number, name in enumerate(CLASSES) if number},
        oriented=True,
    )
    return replace(made, **changed)


def volume(rounds: int) -> None:
    import torch

    from equipoise import models
    from equipoise.deploy.onnx_file import onnx_bytes
    from equipoise.deploy.windows import collected, voxel_logits
    from equipoise.training.learner.sliding_window import slide

    image = np.random.default_rng(0).normal(size=(1, 72, 72, 72)).astype(np.float32)
    for name, network in (("U-Net", models.UNet), ("DeepLabV3+", models.DeepLab), ("DenseNet", models.DenseNet)):
        model = network(1, len(CLASSES), 3, task="segmentation", preset="tiny").eval()
        answers = runtimes(onnx_bytes(model, 1, (32, 32, 32), dynamic=False))
        eager = processor(
            lambda m=model: slide(m, image, (32,) * 3, len(CLASSES), device=torch.device("cpu"), overlap=0.5), rounds
        )

        def decided(a: Any) -> object:
            parts = voxel_logits(a, image, contract())
            return collected(parts, image.shape[1:], lambda logits: logits.argmax(axis=0), np.uint8)

        for which, answer in answers.items():
            ratio = eager / processor(lambda a=answer: decided(a), rounds)
            target = " (target: 1.7)" if which == "openvino-bf16" else ""
            print(f"{name:12} segmenter, 72³ in windows of 32³, {which:14} × {ratio:.2f}{target}", flush=True)


def back(rounds: int) -> None:
    from equipoise import models
    from equipoise.cohorts.cohort import Image
    from equipoise.cohorts.formats.scan import Scan
    from equipoise.deploy.onnx_file import onnx_bytes
    from equipoise.deploy.outputs import mask_files, nifti_bytes
    from equipoise.deploy.predictor import Predictor
    from equipoise.deploy.runtimes import onnx_network
    from equipoise.deploy.windows import collected, voxel_logits
    from equipoise.preprocessing import Pipeline

    values = np.random.default_rng(0).integers(-900, 900, (1, 100, 160, 160)).astype(np.int16)
    place = np.diag([0.8, 0.8, 1.2, 1.0])
    image = Image(values, (1.2, 0.8, 0.8), None, place)
    model = models.UNet(1, len(CLASSES), 3, task="segmentation", preset="tiny").eval()
    answer = onnx_network(onnx_bytes(model, 1, (32, 32, 32), dynamic=False), 1)
    for title, settings in (("as stored", {}), ("resampled to 1.5 mm", {"resample": [1.5, 1.5, 1.5]})):
        made = contract(pipeline=Pipeline.from_settings({"scale": "zscore"} | settings))
        predictor = Predictor(made, answer)
        prepared = predictor.prepare(image)
        parts = lambda: voxel_logits(answer, prepared.image, made)  # noqa: B023, E731
        labels = collected(parts(), prepared.image.shape[1:], lambda logits: logits.argmax(axis=0), np.uint8)
        network = processor(lambda: [None for _ in parts()], 1)  # noqa: B023
        # Noise decides at random: a harder case for the file's packing than any mask.
        masks = {name: np.isin(labels, members) for name, members in made.regions.items()}
        scan = Scan(values, image.spacing_mm, place, {}, stored_axes="RAS")

        def after(p: Any = predictor, m: Any = masks, r: Any = prepared.record, c: Any = made, s: Any = scan) -> None:
            (stored,) = mask_files(p._back(m, r), c).values()
            nifti_bytes(stored, s, Path("none"))

        ratio = processor(after, rounds) / network
        print(f"masks back and written, 100 × 160 × 160, five classes, {title}: {ratio:.2f} of the network's time")


ANSWER = """
from pathlib import Path
from equipoise.deploy.predict import predict
summary = predict(sys.argv[1], [sys.argv[2]], sys.argv[3])
more = {"answered": summary.answered, "failed": summary.first_failure}
"""


def memory(sides: tuple[int, ...], settings: dict[str, Any]) -> None:
    import nibabel

    sys.path.append(str(Path(__file__).resolve().parents[1] / "tests" / "deploy"))
    from deploy_bundles import make_bundle, onnx_model

    from equipoise.deploy.contract import Window
    from equipoise.preprocessing import Pipeline

    with tempfile.TemporaryDirectory() as folder:
        values = np.random.default_rng(0).integers(-1000, 1000, sides, dtype=np.int16)
        nibabel.save(nibabel.Nifti1Image(values, np.diag([0.8, 0.8, 1.0, 1.0])), f"{folder}/scan.nii")
        del values
        slopes = np.array([0.0, 1.0, 2.0])
        made = contract(
            window=Window((96, 96, 96), 0.25, (), 1), pipeline=Pipeline.from_settings({"scale": "zscore"} | settings)
        )
        content = onnx_model(len(CLASSES), 1, 3, slopes=np.resize(slopes, len(CLASSES)), offsets=np.zeros(len(CLASSES)))
        bundle = make_bundle(Path(folder) / "bundle", made, content)
        before = child("import onnxruntime\nfrom equipoise.deploy.predict import predict")["peak"]
        start = time.perf_counter()
        answer = child(ANSWER, str(bundle), f"{folder}/scan.nii", f"{folder}/out")
    size = " × ".join(map(str, sides))
    print(
        f"memory for {size} in {len(CLASSES)} classes {settings or 'as stored'}: {answer['peak'] / 1024:.2f} GiB, "
        f"{before:.0f} MB of it libraries (target: below 6); its reader {answer['reading']:.0f} MB; "
        f"{answer['seconds']:.0f} s of processor time, {time.perf_counter() - start:.0f} s; {answer['more']}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="imports,pictures,volume,back,memory")
    parser.add_argument("--large", default="512,512,600")
    arguments = parser.parse_args()
    asked = arguments.only.split(",")
    for act in (imports, pictures, volume, back):
        if act.__name__ in asked:
            act(arguments.rounds)
    if "memory" in asked:
        for settings in ({}, {"resample": [1.5, 1.5, 1.5]}):
            memory(tuple(map(int, arguments.large.split(","))), settings)


if __name__ == "__main__":
    main()
