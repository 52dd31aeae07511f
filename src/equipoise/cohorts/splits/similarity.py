"""Similarity of two pictures, independent of window, mirroring, quarter turns, compression and slight shifts.

A picture is reduced to 64 × 64 and its values are replaced by their ranks, so that any increasing change of
intensities (another window, gamma) hardly changes it. Two pictures are aligned by cross-correlation in all eight
symmetries of the square, and compared by correlation after whitening, which removes the spectrum that all pictures
of the cohort have in common.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft2, rfft2

from equipoise.cohorts.case_pictures import SIDE, Bytes, Floats
from equipoise.cores import side_by_side

REACH = 6  # shifts up to this many of 64 pixels (9 % of the width) are found
EDGE = 3  # pixels beyond the reach that are left out: whitening rings there
FLOOR = 1e-3  # share of the largest spectral power below which nothing is amplified: noise and compression
BLUR = 1.0  # standard deviation in pixels of the low-pass that goes with it
LOW = 8  # frequencies per axis in a signature
CHUNK = 512
_VALUES = (2 * LOW + 1) * (LOW + 1)


def _window(side: int, edge: float) -> Floats:
    """Return a smooth window that rises over `edge` pixels from each border."""
    inside = np.minimum(np.arange(side) + 0.5, side - 0.5 - np.arange(side)) / edge
    rise = np.sin(np.pi / 2 * np.clip(inside, 0, 1)) ** 2
    return np.outer(rise, rise).astype(np.float32)


HANN = _window(SIDE, SIDE / 2)


def turned(pictures: Bytes, variant: int) -> Bytes:
    """Apply one of four symmetries to (n, 64, 64): plain, mirrored, quarter turn, mirrored quarter turn.

    The other four follow by half a turn, which `likeness` tries itself.
    """
    pictures = np.rot90(pictures, 1, (1, 2)) if variant >= 2 else pictures
    return pictures[:, :, ::-1] if variant % 2 else pictures


def signatures(pictures: Bytes) -> Floats:
    """Return square roots of low Fourier magnitudes, (n, 153): shifts hardly change them, half a turn does not."""
    made, done = np.empty((len(pictures), _VALUES), np.float32), 0
    for part in side_by_side(_signatures, _chunks(pictures)):
        made[done : done + len(part)] = part
        done += len(part)
    return made


def _chunks(pictures: Bytes) -> Iterator[Bytes]:
    return (pictures[start : start + CHUNK] for start in range(0, len(pictures), CHUNK))


def _signatures(pictures: Bytes) -> Floats:
    spectrum = np.abs(rfft2(_centred(pictures) * HANN))
    low = np.concatenate([spectrum[:, -LOW:, : LOW + 1], spectrum[:, : LOW + 1, : LOW + 1]], axis=1)
    # Square roots, because the few lowest frequencies would otherwise dominate every distance.
    made: Floats = np.sqrt(low).reshape(len(low), -1).astype(np.float32)
    return made


def _centred(pictures: Bytes) -> Floats:
    values: Floats = pictures.astype(np.float32)
    centred: Floats = values - values.mean(axis=(1, 2), keepdims=True)
    return centred


@dataclass(frozen=True)
class Whitening:
    """The filter that removes the common spectrum of a cohort's pictures; gain is (64, 33)."""

    gain: Floats

    @classmethod
    def of(cls, pictures: Bytes) -> "Whitening":
        """Estimate the filter from a sample of pictures; it is isotropic, so that turns do not matter."""
        power = np.mean(np.abs(np.fft.fft2(_centred(pictures) * HANN)) ** 2, axis=0)
        frequency = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.fftfreq(SIDE)[None])
        ring = np.rint(frequency * SIDE).astype(int)
        radial = np.bincount(ring.ravel(), power.ravel()) / np.bincount(ring.ravel())
        smooth = np.exp(-2 * (np.pi * BLUR * frequency) ** 2)
        gain = smooth / np.sqrt(radial[ring] + FLOOR * max(float(radial.max()), 1e-12))
        gain[0, 0] = 0
        return cls(gain[:, : SIDE // 2 + 1].astype(np.float32))

    def apply(self, pictures: Bytes) -> Floats:
        """Return whitened pictures (n, 64, 64)."""
        spectrum = rfft2(_centred(pictures) * _window(SIDE, 4))
        whitened: Floats = irfft2(spectrum * self.gain, s=(SIDE, SIDE)).astype(np.float32)
        return whitened


def likeness(first: Bytes, second: Bytes, whitening: Whitening) -> Floats:
    """Return the correlation (n,), −1 to 1, of two lists of pictures after the best shift, also by half a turn."""
    parts = (slice(start, start + CHUNK) for start in range(0, len(first), CHUNK))
    # Transforms by scipy: they take half the time of numpy's, and leave the other threads the interpreter.
    scores = side_by_side(lambda part: _likeness(first[part], second[part], whitening), parts)
    return np.concatenate([np.empty(0, np.float32), *scores])


def _likeness(first: Bytes, second: Bytes, whitening: Whitening) -> Floats:
    a, b = whitening.apply(first), whitening.apply(second)
    target = np.conj(rfft2(b * HANN))
    score: Floats = np.maximum(_aligned(a, b, target), _aligned(a[:, ::-1, ::-1], b, target))
    return score


def _aligned(a: Floats, b: Floats, target: NDArray[np.complexfloating]) -> Floats:
    """Correlate over the common centre after shifting each `a` by the peak of its cross-correlation with `b`."""
    cross = irfft2(rfft2(a * HANN) * target, s=(SIDE, SIDE))
    width = 2 * REACH + 1
    near = np.roll(cross, (REACH, REACH), axis=(1, 2))[:, :width, :width].reshape(len(a), -1)
    peak = near.argmax(axis=1)
    rows = np.arange(REACH + EDGE, SIDE - REACH - EDGE)
    down, right = rows + (peak // width - REACH)[:, None], rows + (peak % width - REACH)[:, None]
    moved = a[np.arange(len(a))[:, None, None], down[:, :, None], right[:, None, :]]
    return _correlation(moved, b[:, rows[0] : rows[-1] + 1, rows[0] : rows[-1] + 1])


def _correlation(a: Floats, b: Floats) -> Floats:
    a, b = a - a.mean(axis=(1, 2), keepdims=True), b - b.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt(np.sum(a * a, axis=(1, 2)) * np.sum(b * b, axis=(1, 2)))
    result: Floats = np.sum(a * b, axis=(1, 2)) / np.maximum(norm, 1e-9)
    return result
