"""An optimizer around another one, as public wrappers are written."""

import torch


class Wrapped(torch.optim.Optimizer):
    """Its groups and state are those of the wrapped optimizer, until torch's loading makes new ones."""

    def __init__(self, params, lr=0.1):
        params = list(params)
        self.inner = torch.optim.SGD(params, lr=lr, momentum=0.9)
        super().__init__(params, {"lr": lr})
        self.param_groups, self.state = self.inner.param_groups, self.inner.state

    def step(self, closure=None):
        return self.inner.step(closure)

    def state_dict(self):
        return self.inner.state_dict()

    def load_state_dict(self, state):
        self.inner.load_state_dict(state)
