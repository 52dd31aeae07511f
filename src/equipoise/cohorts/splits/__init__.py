"""Split cohorts by patient into train, validation and test parts, and search for leaks between the parts."""
