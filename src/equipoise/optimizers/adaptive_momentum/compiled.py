"""The family's step through a small C kernel, built at first use where the machine has a C compiler.

The kernel (adaptive_momentum.c) reads gradients where autograd wrote them, so that a model need not be flattened. It
gives the same bits as reference_step.py. A build takes about half a second per process and leaves no file on disk.
"""

import ctypes
import functools
from array import array
from collections.abc import Callable
from itertools import chain
from operator import attrgetter
from threading import Thread
from typing import Any

import torch
from torch import Tensor

from equipoise.errors import EquipoiseError, Interrupted
from equipoise.kernels.build import SOURCES
from equipoise.kernels.build import build as build_library
from equipoise.optimizers.adaptive_momentum.step_inputs import Batch, StepSettings, is_dense

_C_TYPES = {torch.int8: "int8_t", torch.int16: "int16_t", torch.int32: "int32_t"}
_Entry = tuple[int, ...]  # addresses of theta, grad, count, exp_avg, exp_avg_sq; number of elements
_COLUMNS = 6
_SMALLEST_SHARE = 100_000  # elements; below this a thread costs more than it saves


class _Settings(ctypes.Structure):
    """`Settings` of adaptive_momentum.c."""

    _fields_ = (
        ("table", ctypes.c_void_p),
        ("limit", ctypes.c_int64),
        *((name, ctypes.c_float) for name in ("decay", "beta1", "rest1", "beta2", "rest2")),
        *((name, ctypes.c_float) for name in ("correction1", "correction2", "eps")),
    )


@functools.cache
def build(count_dtype: torch.dtype) -> ctypes.CDLL:
    """Compile adaptive_momentum.c for one type of counts and load it.

    Raises:
        EquipoiseError: where there is no compiler, or it fails, with the first line it printed.
    """
    source = SOURCES / "adaptive_momentum.c"
    return build_library(source, f"COUNT={_C_TYPES[count_dtype]}", otherwise="use path='loop'")


@functools.cache
def works() -> bool:
    """Whether the kernel can be built here; path="auto" checks it once per process."""
    try:
        build(torch.int8)
    except Interrupted:
        raise  # other processes have built it
    except EquipoiseError:
        return False
    return True


def can_step(batch: Batch) -> bool:
    """Whether the kernel supports this batch: float32 in main memory, with integer counts."""
    if not batch.thetas or batch.settings.keep is not None or batch.thetas[0].device.type != "cpu":
        return False
    # Gradients and loaded states may have another dtype than their parameter, and the kernel reads raw memory: a
    # wrong guess would not fail but train on garbage.
    tensors = chain(batch.thetas[:1], batch.grads, batch.exp_avgs, batch.exp_avg_sqs)
    return set(map(attrgetter("dtype"), tensors)) == {torch.float32}


def step_compiled(batch: Batch) -> Batch:
    """Advance every tensor whose memory is dense, in place; return the others, for the loop."""
    rest, entries, alive = _sort_out(batch)
    if entries:
        step, settings = _entry_point(batch), _settings(batch.settings)
        jobs = [_columns(share) for share in _shares(entries, batch)]
        threads = [Thread(target=step, args=(settings, *job)) for job in jobs[1:]]
        for thread in threads:
            thread.start()  # ctypes releases the interpreter's lock, so the threads run in parallel with this one
        step(settings, *jobs[0])
        for thread in threads:
            thread.join()
    del alive  # gradients brought into their parameter's layout had to live until here
    return rest


def _entry_point(batch: Batch) -> Callable[..., None]:
    """Return the kernel's function for the batch's rule and type of counts."""
    settings = batch.settings
    name = f"{settings.rule.name}_{settings.per}" if settings.rule.follows_agreement else "follow_sign"
    function: Callable[..., None] = getattr(build(batch.counts[0].dtype), name)
    return function


def _settings(settings: StepSettings) -> _Settings:
    """Convert the step's numbers to float32, each rounded once, as torch rounds a Python number."""
    # 1 - beta is computed here in double precision: in float32 it would differ from torch in the last bits.
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
    """Split a batch into tensors for the loop and kernel entries; also return the tensors that must stay alive."""
    rest, alive = Batch(batch.settings), list[Tensor]()
    columns = [batch.thetas, batch.grads, batch.counts, batch.exp_avgs, batch.exp_avg_sqs]
    columns = [column for column in columns if column]
    sizes = list(map(Tensor.numel, batch.thetas))
    # Checked column by column with `map`, because a network has hundreds of tensors and this runs at every step.
    plain = [all(rows) for rows in zip(*(map(Tensor.is_contiguous, column) for column in columns), strict=True)]
    for i in [i for i, contiguous in enumerate(plain) if not contiguous]:
        plain[i] = _same_layout(*(column[i] for column in columns))
        # Only gradients are copied into the parameter's layout: they live for one step, whereas a copied state would
        # have to be written back.
        if plain[i] and batch.grads[i].stride() != batch.thetas[i].stride():
            batch.grads[i] = torch.empty_like(batch.thetas[i]).copy_(batch.grads[i])
            alive.append(batch.grads[i])
    wide = [column for column in columns if column is not batch.counts or batch.settings.per == "element"]
    fits = [list(map(Tensor.numel, column)) == sizes for column in wide]
    addresses = [list(map(Tensor.data_ptr, column)) for column in columns]
    addresses += [[0] * len(sizes)] * (_COLUMNS - 1 - len(columns))
    entries = list(zip(*addresses, sizes, strict=True))
    if not all(plain) or not all(fits):
        odd = [i for i, whole in enumerate(plain) if not (whole and all(fits))]
        for i in odd:
            rest.append(*(column[i] for column in columns))
        entries = [entry for i, entry in enumerate(entries) if i not in set(odd)]
    return rest, entries, alive


def _same_layout(theta: Tensor, grad: Tensor, count: Tensor, *moments: Tensor) -> bool:
    """Whether theta fills its memory and its state has the same order of axes; gradients can be copied into it."""
    states = [x for x in (count, *moments) if x.dim() or not theta.dim()]
    return is_dense(theta) and grad.dtype == theta.dtype and all(x.stride() == theta.stride() for x in states)


def _shares(entries: list[_Entry], batch: Batch) -> list[list[_Entry]]:
    """Divide the work among torch's threads; rates per element allow cuts within a tensor."""
    # With one rate per tensor a cut would need the sum over both parts before either could move, so whole tensors are
    # dealt out instead.
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
    """Split an entry in two: its first `at` elements, and the others with addresses of their own."""
    *addresses, size = entry
    widths = (4, 4, count_bytes, 4, 4)
    moved = (address + at * width for address, width in zip(addresses, widths, strict=True))
    return (*addresses, at), (*moved, size - at)


def _columns(entries: list[_Entry]) -> tuple[Any, ctypes.c_int64]:
    """Convert entries to the layout of adaptive_momentum.c, column after column, and their number."""
    flat = array("q", chain.from_iterable(zip(*entries, strict=True)))
    return (ctypes.c_int64 * len(flat)).from_buffer(flat), ctypes.c_int64(len(entries))
