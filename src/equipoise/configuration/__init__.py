"""A cohort's fingerprint, and the rules that configure a trial from it and from the time there is.

Pure functions of numbers: no image is read here, and nothing is timed. `docs/self-configuration.md` has every rule with
its reason.
"""
