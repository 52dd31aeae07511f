"""The run folder: every file name, the record, jobs and the one reader."""
