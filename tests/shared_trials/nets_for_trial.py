import torch
from torch import nn


class Net(nn.Sequential):
    def __init__(self, in_channels, out_channels, spatial_dims, explode=False):
        super().__init__(
            nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, out_channels)
        )


class Explodes(Net):
    def forward(self, x):
        self.steps = getattr(self, "steps", 0) + 1
        return super().forward(x) * (float("nan") if self.steps > 3 and self.training else 1.0)


class Rule(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)
