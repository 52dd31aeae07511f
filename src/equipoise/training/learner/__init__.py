"""The learner and what it is made of: model, losses, average of weights, its processes, and answers by windows."""
