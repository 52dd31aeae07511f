"""What a missing modality costs: the same cases again, with one modality hidden at a time."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from equipoise.errors import EquipoiseError
from equipoise.models import LateFusion

ALL = ""
"""The name under which the value with every modality stands."""


def modality_channels(model: nn.Module) -> list[tuple[int, ...]] | None:
    """The channels of each modality that a network can do without; None where it needs all channels."""
    if not isinstance(model, LateFusion):
        return None
    starts = torch.tensor([0, *model.channels]).cumsum(0).tolist()
    return [tuple(range(start, start + count)) for start, count in zip(starts, model.channels, strict=False)]


def hidden(images: Tensor, channels: Sequence[int]) -> Tensor:
    """A copy of images (n, c, *spatial) without some channels: NaN, as a case that lacks them is given."""
    without = images.clone()
    without[:, list(channels)] = torch.nan
    return without


def cost_of_missing(
    metric: Callable[[Tensor, Tensor], float],
    images: Tensor,
    modalities: Sequence[Sequence[int]],
    names: Sequence[str],
) -> dict[str, float]:
    """The metric with all modalities (under `ALL`), and without each of them (under its name).

    Args:
        metric: images (m, c, *spatial) and which cases they are (m,) to a number.
        images: (n, c, *spatial), NaN where a modality is missing already.
        modalities: the channels of each, as `modality_channels` gives them.
        names: one a modality.

    Cases that would have nothing left do not enter the value without that modality; it is NaN where none is left.
    """
    if len(names) != len(modalities):
        raise EquipoiseError(f"{len(modalities)} modalities have {len(names)} names; give one name a modality")
    values = {ALL: metric(images, torch.arange(len(images)))}
    for name, channels in zip(names, modalities, strict=True):
        without = hidden(images, channels)
        cases = (~without.isnan().flatten(1).all(1)).nonzero()[:, 0]
        values[name] = metric(without[cases], cases) if len(cases) else float("nan")
    return values
