"""From verdict to use: an arm as a bundle of data that reproduces its trial, and predictions on new images.

Only `export` and `trained` import torch; a bundle predicts with numpy, scipy and its runtime.
"""
