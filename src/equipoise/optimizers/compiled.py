"""The family's step through a small C kernel, built at first use where the machine has a C compiler.

The kernel (kernel.c) reads gradients where autograd left them: nobody has to flatten a model. It gives the
same bits as loop.py. One build takes about half a second per process and leaves nothing on disk.
"""

import ctypes
import functools
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import EquipoiseError
from equipoise.optimizers.batch import Batch, StepSettings, is_dense

_C_TYPES = {torch.int8: "int8_t", torch.int16: "int16_t", torch.int32: "int32_t"}
# No -ffast-math and no fused multiply-add: see the head of kernel.c.
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
_Entry = tuple[int, ...]  # addresses of theta, grad, count, exp_avg, exp_avg_sq; number of elements
_COLUMNS = 6
_SMALLEST_SHARE = 100_000  # elements; below this a thread costs more than it saves


class _Settings(ctypes.Structure):
    """`Settings` of kernel.c."""

    _fields_ = (
        ("table", ctypes.c_void_p),
        ("limit", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("decay", "beta1", "rest1", "beta2", "rest2")),
        *((name, ctypes.c_float) for name in ("correction1", "correction2", "eps")),
    )


def compiler() -> str | None:
    """The C compiler's command: that of the environment variable CC, else `cc`; None where there is none."""
    command = os.environ.get("CC") or "cc"
    return command if shutil.which(shlex.split(command)[0]) else None


@functools.cache
def build(count_dtype: torch.dtype) -> ctypes.CDLL:
    """Compile kernel.c for one type of counts and load it.

    Raises:
        EquipoiseError: where there is no compiler, or it fails, with the first line it printed.
    """
    command = compiler()
    if command is None:
        raise EquipoiseError("There is no C compiler here for path='compiled'; set CC or use path='loop'.")
    source = Path(__file__).with_name("kernel.c")
    with tempfile.TemporaryDirectory(prefix="equipoise-") as folder:
        library = Path(folder) / "kernel.so"
        arguments = [*shlex.split(command), *_FLAGS, f"-DCOUNT={_C_TYPES[count_dtype]}", "-o", str(library)]
        done = subprocess.run(  # noqa: S603 (the compiler the user's environment names, on our own file)
            [*arguments, str(source), "-lm"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            reason = (done.stderr.strip() or "no message").splitlines()[0]
            raise EquipoiseError(f"{command} could not build {source.name} ({reason}); use path='loop'.")
        return ctypes.CDLL(str(library))


@functools.cache
def works() -> bool:
    """Whether the kernel can be built here; asked once per process by path="auto"."""
    try:
        build(torch.int8)
    except EquipoiseError:
        return False
    return True


def can_step(batch: Batch) -> bool:
    """Whether the kernel knows this kind of batch: float32 in main memory, integer counts."""
    theta = batch.thetas[0] if batch.thetas else None
    return (
        theta is not None
        and theta.dtype == torch.float32
        and theta.device.type == "cpu"
        and batch.settings.keep is None
    )


def step_compiled(batch: Batch) -> Batch:
    """Advance every tensor whose memory is dense, in place; returns those left over, for the loop."""
    rest, entries, alive = _sort_out(batch)
    if entries:
        step, settings = _entry_point(batch), _settings(batch.settings)
        jobs = [_columns(share) for share in _shares(entries, batch)]
        threads = [Thread(target=step, args=(settings, *job)) for job in jobs[1:]]
        for thread in threads:
            thread.start()  # ctypes lets go of the interpreter's lock, so these run beside us
        step(settings, *jobs[0])
        for thread in threads:
            thread.join()
    del alive  # gradients brought into their parameter's layout had to live until here
    return rest


def _entry_point(batch: Batch) -> Callable[..., None]:
    """The kernel's function for the batch's rule and type of counts."""
    settings = batch.settings
    name = f"{settings.rule.name}_{settings.per}" if settings.rule.follows_agreement else "follow_sign"
    function: Callable[..., None] = getattr(build(batch.counts[0].dtype), name)
    return function


def _settings(settings: StepSettings) -> _Settings:
    """The step's numbers, each rounded to float32 once, as torch rounds a Python number."""
    return _Settings(
        table=settings.table.data_ptr(),
        limit=settings.limit,
        decay=settings.decay,
        beta1=settings.beta1,
        rest1=1 - settings.beta1,
        beta2=settings.beta2,
        rest2=1 - settings.beta2,
        correction1=settings.correction1,
        correction2=settings.correction2,
        eps=settings.eps,
    )


def _sort_out(batch: Batch) -> tuple[Batch, list[_Entry], list[Tensor]]:
    """What kernel.c needs to know of the tensors it can walk; the other tensors; what must stay alive."""
    rest, entries, alive = Batch(batch.settings), list[_Entry](), list[Tensor]()
    filled = [batch.thetas, batch.grads, batch.counts, batch.exp_avgs, batch.exp_avg_sqs]
    filled = [column for column in filled if column]
    unused = (0,) * (_COLUMNS - 1 - len(filled))
    per_element = batch.settings.per == "element"
    for theta, grad, count, *moments in zip(*filled, strict=True):
        stride, size = theta.stride(), theta.numel()
        alike = [count, *moments] if per_element else moments
        if not is_dense(theta) or any(x.stride() != stride or x.numel() != size for x in alike):
            rest.append(theta, grad, count, *moments)
            continue
        if grad.stride() != stride or grad.dtype != theta.dtype:
            grad = torch.empty_like(theta).copy_(grad)
            alive.append(grad)
        addresses = [x.data_ptr() for x in (theta, grad, count, *moments)]
        entries.append((*addresses, *unused, size))
    return rest, entries, alive


def _shares(entries: list[_Entry], batch: Batch) -> list[list[_Entry]]:
    """Divide the work among torch's threads; rates per element allow cutting within a tensor."""
    total = sum(entry[-1] for entry in entries)
    threads = min(torch.get_num_threads(), total // _SMALLEST_SHARE)
    if threads < 2:
        return [entries]
    per_element, count_bytes = batch.settings.per == "element", batch.counts[0].element_size()
    shares: list[list[_Entry]] = [[]]
    done, border = 0, total / threads
    for entry in entries:
        if per_element:
            while done + entry[-1] > border and len(shares) < threads:
                head, entry = _cut(entry, round(border) - done, count_bytes)
                shares[-1].append(head)
                shares.append([])
                done, border = done + head[-1], border + total / threads
        elif done + entry[-1] / 2 > border and shares[-1]:  # its middle lies beyond the border
            shares.append([])
            border += total / threads
        shares[-1].append(entry)
        done += entry[-1]
    return shares


def _cut(entry: _Entry, at: int, count_bytes: int) -> tuple[_Entry, _Entry]:
    """An entry as two: its first `at` elements, and the others with addresses of their own."""
    *addresses, size = entry
    widths = (4, 4, count_bytes, 4, 4)
    moved = (address + at * width for address, width in zip(addresses, widths, strict=True))
    return (*addresses, at), (*moved, size - at)


def _columns(entries: list[_Entry]) -> tuple[Any, ctypes.c_int64]:
    """Entries as kernel.c reads them, column after column, and their number."""
    flat = [value for column in zip(*entries, strict=True) for value in column]
    return (ctypes.c_int64 * len(flat))(*flat), ctypes.c_int64(len(entries))
