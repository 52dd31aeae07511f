import numpy as np

from equipoise.cohorts import Case, Cohort, Image


def cohort(path=None, task="segmentation"):
    def read(index):
        generator = np.random.default_rng(index)
        mask = np.zeros((24, 20), np.uint8)
        y, x = generator.integers(4, 12, 2)
        mask[y : y + 8, x : x + 6] = 1
        image = generator.normal(0, 0.2, (1, 24, 20)) + mask
        return Image(image.astype(np.float32), (1.0, 1.0), mask)

    cases = tuple(Case(f"c{i:02d}", f"p{i:02d}", read=lambda i=i: read(i), sha256={"made": str(i)}) for i in range(40))
    return Cohort("squares", "segmentation", cases, ("background", "square"), ("image",), 2)
