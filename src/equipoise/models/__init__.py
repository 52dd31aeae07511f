"""Networks in 2D and 3D from one source: `(in_channels, out_channels, spatial_dims, **settings) -> nn.Module`."""

from equipoise.models.deeplab import DeepLab
from equipoise.models.densenet import DenseNet
from equipoise.models.fusion import LateFusion
from equipoise.models.unet import UNet

__all__ = ["DeepLab", "DenseNet", "LateFusion", "UNet"]
