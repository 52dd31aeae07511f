"""One loop for every arm: training never sees a test case."""
