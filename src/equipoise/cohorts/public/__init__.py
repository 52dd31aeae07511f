"""Public data: their addresses, their download, and the check that what lies on the disk is what was published."""
