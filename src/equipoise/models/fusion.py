"""Late fusion: one encoder per modality, joined by mean or attention; any modality may be missing."""

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import nn

from equipoise.errors import EquipoiseError
from equipoise.models.blocks import CONVOLUTION, initialise, resize_to
from equipoise.models.deeplab import DeepLab
from equipoise.models.densenet import DenseNet
from equipoise.models.heads import head
from equipoise.models.settings import (
    TASKS,
    Task,
    check_counts,
    check_dimensions,
    check_probability,
    choose,
    refuse_unknown,
    setting_names,
)
from equipoise.models.unet import UNet

Trunk = UNet | DeepLab | DenseNet
ENCODERS: dict[str, type[Trunk]] = {
    "densenet": DenseNet,
    "unet": UNet,
    "deeplab": DeepLab,
}
Fusion = Literal["mean", "attention"]
FUSIONS: tuple[Fusion, ...] = ("mean", "attention")
REFUSED = ("task", "dropout", "deep_supervision")
"""Settings of an encoder that late fusion sets itself, or that have no meaning before the fused head."""


class LateFusion(nn.Module):
    """One trunk per modality, whose features are fused just before one common head.

    A modality is missing for a case when all its values are NaN, or when `present` is false there; its features then
    have no weight, in training and at inference. A case without any modality is refused. Modality dropout hides
    present modalities at random in training (at least one stays), so that the network learns to cope without them; it
    hides features, not images, and so leaves the trunks' batch statistics unchanged.

    Args:
        in_channels: channels of the image, all modalities together.
        out_channels: classes, or regions.
        spatial_dims: 2 or 3.
        task: "classification" (vectors are fused) or "segmentation" (maps are fused, pixel by pixel).
        encoder: "densenet", "unet" or "deeplab".
        modalities: channels of each modality in order, with sum `in_channels`; by default one channel each.
        fusion: "mean" over the present modalities, or "attention": weights from a small gate that looks at each
            modality's features (Ilse 2018), a softmax over the present ones.
        modality_dropout: probability with which training hides a present modality.
        dropout: as in the encoder's settings, and before a classifier's linear layer.
        settings: the encoder's own settings (`preset`, `normalization`, `activation`, …).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        spatial_dims: int,
        *,
        task: Task = "classification",
        encoder: str = "densenet",
        modalities: Sequence[int] | None = None,
        fusion: Fusion = "mean",
        modality_dropout: float = 0.0,
        dropout: float = 0.0,
        **settings: object,
    ) -> None:
        super().__init__()
        check_dimensions("latefusion", in_channels, out_channels, spatial_dims)
        choose(task, TASKS, "task", "latefusion")
        choose(fusion, FUSIONS, "fusion", "latefusion")
        factory = ENCODERS[choose(encoder, ENCODERS, "encoder", "latefusion")]
        names = [*setting_names(type(self)), *(name for name in setting_names(factory) if name not in REFUSED)]
        refuse_unknown("latefusion", settings, names)
        self.modality_dropout = check_probability(modality_dropout, "modality_dropout", "latefusion")
        self.channels = _modality_channels(in_channels, modalities)
        self.encoders = nn.ModuleList()
        for count in self.channels:
            # The settings come from a protocol as plain values, and each encoder checks all of them itself.
            trunk = factory(count, out_channels, spatial_dims, task=task, dropout=dropout, **settings)  # type: ignore[arg-type]
            # The trunk's own head would never be trained, but it would be saved and counted as parameters.
            trunk.head = nn.Sequential()
            self.encoders.append(trunk)
        self.task, self.smallest_side, features = task, trunk.smallest_side, trunk.feature_channels
        self.gate = _gate(task, features, spatial_dims) if fusion == "attention" else None
        self.head = head(task, features, out_channels, spatial_dims, dropout)
        initialise(self.head)

    def blocks(self) -> list[nn.Module]:
        """Return the parts of all encoders whose inner maps can be computed again in place of being kept."""
        return [block for encoder in self.encoders for block in cast(Trunk, encoder).blocks()]

    def forward(self, x: torch.Tensor, present: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits of (N, in_channels, *spatial); `present` is (N, modalities), true where a modality exists."""
        if x.ndim < 3 or x.shape[1] != sum(self.channels):
            raise EquipoiseError(
                f"latefusion was built for {sum(self.channels)} channels but got a batch of shape {tuple(x.shape)}."
            )
        images = torch.split(x, self.channels, dim=1)
        seen = torch.stack([~image.isnan().flatten(1).all(1) for image in images], dim=1)
        if present is not None:
            seen = seen & present.to(device=x.device, dtype=torch.bool)
        # A branch on the values of a tensor would break the trace of an export, so exported models do not check.
        if not torch.compiler.is_compiling() and not bool(seen.any(1).all()):
            raise EquipoiseError("latefusion got a case without any modality; leave such cases out of the cohort.")
        weighed = _hide(seen, self.modality_dropout) if self.training and self.modality_dropout else seen
        logits: torch.Tensor = self.head(self._fuse(self._encode(images, seen), weighed))
        return resize_to(logits, x.shape[2:]) if self.task == "segmentation" else logits

    def _encode(self, images: Sequence[torch.Tensor], seen: torch.Tensor) -> list[torch.Tensor]:
        """Return the features of every modality, zeros for the cases without it."""
        # In training an encoder reads only the cases that have its modality, because blank images would shift its
        # batch statistics. In evaluation it reads blanks as well, so that every shape is known beforehand (export).
        features_of: dict[int, torch.Tensor] = {}
        for index, (module, image, present) in enumerate(zip(self.encoders, images, seen.unbind(1), strict=True)):
            encoder = cast(Trunk, module)
            if not self.training:
                blank = ~present.reshape(-1, *(1 for _ in image.shape[1:]))
                features_of[index] = encoder.features(image.masked_fill(blank, 0))
            elif bool(present.all()):
                features_of[index] = encoder.features(image)
            elif bool(present.any()):
                rows = present.nonzero().squeeze(1)
                features = encoder.features(image[rows])
                blank_features = features.new_zeros(len(image), *features.shape[1:])
                features_of[index] = blank_features.index_copy(0, rows, features)
        example = next(iter(features_of.values()))
        return [features_of.get(index, torch.zeros_like(example)) for index in range(len(images))]

    def _fuse(self, features: Sequence[torch.Tensor], seen: torch.Tensor) -> torch.Tensor:
        """Return the weighted sum of the modalities' features; weights of each case (and pixel) sum to one."""
        mask = seen.reshape(*seen.shape, *(1 for _ in features[0].shape[2:]))
        if self.gate is None:
            weights = mask / mask.sum(1, keepdim=True)
        else:
            scores = torch.cat([self.gate(modality) for modality in features], dim=1)
            weights = scores.masked_fill(~mask, -torch.inf).softmax(1)
        weights = weights.to(features[0].dtype)
        # Summed one by one: stacking all modalities first would hold their maps in memory twice.
        fused = features[0] * weights[:, :1]
        for index, modality in enumerate(features[1:], start=1):
            fused = fused + modality * weights[:, index : index + 1]
        return fused


def _modality_channels(in_channels: int, modalities: Sequence[int] | None) -> list[int]:
    """Return the channels of every modality, checked against the image's channels."""
    if modalities is None:
        modalities = [1] * in_channels
    channels = list(check_counts(modalities, "modalities", "latefusion", fewest=2))
    if sum(channels) != in_channels:
        raise EquipoiseError(
            f"latefusion's modalities {channels} have {sum(channels)} channels but the images have {in_channels}; "
            "give the channels of each modality in order."
        )
    return channels


def _gate(task: Task, features: int, spatial_dims: int) -> nn.Module:
    """Build the map from features to one score; without a last bias, which the softmax would cancel."""
    hidden = max(8, features // 8)
    if task == "classification":
        return nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 1, bias=False))
    pointwise = CONVOLUTION[spatial_dims]
    return nn.Sequential(pointwise(features, hidden, 1), nn.Tanh(), pointwise(hidden, 1, 1, bias=False))


def _hide(seen: torch.Tensor, probability: float) -> torch.Tensor:
    """Hide modalities at random, but leave each case one of those it has, drawn uniformly."""
    kept = torch.rand(seen.shape, device=seen.device) >= probability
    # The spared modality has the largest of independent draws; those that a case lacks get −1 and never win.
    draws = torch.rand(seen.shape, device=seen.device).masked_fill(~seen, -1)
    spared = torch.zeros_like(seen).scatter(1, draws.argmax(1, keepdim=True), torch.ones_like(seen))
    return seen & (kept | spared)
