"""The run folder: every file name, the ledger, jobs and the one reader."""
