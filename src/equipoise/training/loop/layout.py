"""Choose the memory layout of images and weights: channels last, wherever that was measured to be faster."""

import torch


def layout_of(spatial_dims: int, device: torch.device, built_in: bool) -> torch.memory_format:
    """Return the memory format of a model's images and weights.

    Channels last trained every built-in architecture 1.05 to 1.6 times as fast on images, and 1.1 to 2.5 times as fast
    on volumes on a CPU. Volumes for a user's own model stay contiguous: code that views them as (n, c, -1) would fail.
    """
    if spatial_dims == 2:
        return torch.channels_last
    return torch.channels_last_3d if built_in and device.type == "cpu" else torch.contiguous_format
