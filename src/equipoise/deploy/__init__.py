"""From verdict to use: an arm as a bundle of data that reproduces its trial, and predictions on new images.

What exports and proves (`export`, `proof`, `onnx_file`, `loaded`, `trained`) needs torch. What answers needs numpy,
scipy and the runtime of the bundle alone, and import-linter checks that.
"""
