"""Folders and tables → cohorts: BraTS, nnU-Net, Decathlon, MedMNIST, manifests, folders per class."""

from equipoise._moved import attributes_of

__getattr__ = attributes_of(__name__, "equipoise.cohorts.layouts.folders")
