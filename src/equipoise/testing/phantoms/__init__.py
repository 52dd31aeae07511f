"""Cases and files with known truth, made from a seed."""
