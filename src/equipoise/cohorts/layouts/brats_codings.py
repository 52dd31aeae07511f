"""What the mask values of BraTS mean, by group and year: the same number is another tissue elsewhere.

2012 (Menze et al. 2015): 1 oedema, 2 tumour core. 2013 to 2016: 1 necrosis, 2 oedema, 3 non-enhancing tumour,
4 enhancing tumour. 2017 to 2021 (Baid et al. 2021): 1 necrotic core, 2 oedema, 4 enhancing tumour. From 2023 on, for
adult glioma, Africa, meningioma, metastases and the mixed set (GLI, SSA, MEN, MET, GoAT): 1 necrotic or
non-enhancing core, 2 oedema, 3
enhancing tumour. Data after treatment (GLI 2024, MET 2025) add 4, the resection cavity (de Verdier et al. 2024).
Children (PED): as 2023 in 2023; in 2024 1 enhancing tumour, 2 non-enhancing tumour, 3 cyst, 4 oedema (Kazerooni et al.
2024). Radiotherapy of meningioma (MEN-RT 2024): 1 gross tumour volume (LaBella et al. 2024).
"""

from collections.abc import Mapping
from dataclasses import dataclass

_GLIOMA = ("background", "necrotic core", "oedema", "enhancing tumour")
_GLIOMA_REGIONS: Mapping[str, tuple[int, ...]] = {"WT": (1, 2, 3), "TC": (1, 3), "ET": (3,)}


@dataclass(frozen=True)
class Coding:
    """Stored value → class index, the classes, and the regions that are judged as sets of class indices."""

    codes: Mapping[int, int]
    classes: tuple[str, ...]
    regions: Mapping[str, tuple[int, ...]]

    def tissues(self) -> str:
        """Return the stored values with their tissues, for a message."""
        return ", ".join(f"{value} {self.classes[index]}" for value, index in self.codes.items() if index)


CODINGS: Mapping[str, Coding] = {
    "2012": Coding({0: 0, 1: 1, 2: 2}, ("background", "oedema", "tumour core"), {"WT": (1, 2), "TC": (2,)}),
    "2013-2016": Coding(
        {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
        ("background", "necrosis", "oedema", "non-enhancing tumour", "enhancing tumour"),
        {"WT": (1, 2, 3, 4), "TC": (1, 3, 4), "ET": (4,)},
    ),
    "2017-2021": Coding({0: 0, 1: 1, 2: 2, 4: 3}, _GLIOMA, _GLIOMA_REGIONS),
    "2023": Coding({0: 0, 1: 1, 2: 2, 3: 3}, _GLIOMA, _GLIOMA_REGIONS),
    "2024-post-treatment": Coding(
        {0: 0, 1: 1, 2: 2, 3: 3, 4: 4}, (*_GLIOMA, "resection cavity"), {**_GLIOMA_REGIONS, "RC": (4,)}
    ),
    "ped-2024": Coding(
        {0: 0, 1: 1, 2: 2, 3: 3, 4: 4},
        ("background", "enhancing tumour", "non-enhancing tumour", "cyst", "oedema"),
        {"WT": (1, 2, 3, 4), "TC": (1, 2, 3), "ET": (1,)},
    ),
    "men-rt-2024": Coding({0: 0, 1: 1}, ("background", "gross tumour volume"), {"GTV": (1,)}),
}
BY_GROUP: Mapping[str, tuple[str, ...]] = {
    "GLI": ("2023", "2024-post-treatment"), "MET": ("2023", "2024-post-treatment"), "SSA": ("2023",), "MEN": ("2023",),
    "GOAT": ("2023",), "PED": ("2023", "ped-2024"), "MEN-RT": ("men-rt-2024",),
}  # fmt: skip
"""The codings that a group of 2023 on was published in, by its name in the ids."""
SAME_TISSUES = frozenset({"GLI", "MET"})
"""Groups whose codings agree in every value that they share: the smaller holds until a mask has the other's value."""
EARLY = "2017-2021"
BY_JOINT: Mapping[str, str] = {"_": EARLY, ".": "2013-2016", "/": "2012"}
"""The coding of data without a group, by how their names are joined (see `brats.ScanFiles`)."""


def certain_coding(group: str | None) -> str | None:
    """Return the coding that a group's name makes certain (None: data to 2021), or None where it must be stated.

    >>> certain_coding("GLI"), certain_coding(None), certain_coding("PED")
    ('2023', '2017-2021', None)
    """
    if group is None:
        return EARLY
    # PED stays uncertain: both of its codings use 1, 2 and 3, for other tissues, so a case without a 4 fits either.
    codings = BY_GROUP.get(group.upper(), ())
    return codings[0] if len(codings) == 1 or group.upper() in SAME_TISSUES else None


def what_values_mean(group: str | None) -> str:
    """What each coding that a group may have says, for a message that asks which one it is."""
    offered = BY_GROUP.get((group or "").upper(), tuple(CODINGS))
    return "; ".join(f'"{name}" ({CODINGS[name].tissues()})' for name in offered)
