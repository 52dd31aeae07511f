"""A cohort source of one's own in one file: small and large rings in noise."""

import numpy as np

from equipoise.cohorts import Case, Cohort, Image


def ring(key, radius):
    """A ring in noise, (1, 24, 24), 1 mm pixels; made anew whenever it is read."""
    distance = np.hypot(*(np.indices((24, 24)) - 11.5))
    noise = np.random.default_rng([1, key]).normal(0, 0.2, (24, 24))
    return Image(((abs(distance - radius) < 1) + noise)[None].astype(np.float32), (1.0, 1.0))


def rings(path=None, *, cases=120):
    """Small and large rings; four cases per patient."""
    made = tuple(Case(f"r{k:03d}", f"p{k // 4:02d}", lambda k=k: ring(k, 5 + 3 * (k % 2)), k % 2) for k in range(cases))
    return Cohort("rings", "classification", made, ("small", "large"), ("grey",), 2)
