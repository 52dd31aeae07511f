"""Generate cases and files with known truth from a seed."""
