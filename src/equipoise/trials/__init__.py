"""A trial from plan to verdict: read, check, lock, train, open the test set once, judge."""
