"""Run the jobs of a trial: worker processes on one machine, or all processes that a launcher started."""
