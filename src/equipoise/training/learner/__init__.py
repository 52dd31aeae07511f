"""The learner and its parts: losses, weight average, distributed processes, and sliding-window inference."""
