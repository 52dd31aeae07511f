"""SGD with Nesterov's momentum as a default."""

from collections.abc import Iterable
from typing import Any

from torch.optim import SGD


class Momentum(SGD):
    """torch's SGD with Nesterov's momentum 0.9 by default; every setting of `torch.optim.SGD` is accepted.

    State: 4 bytes per parameter.
    """

    # A name of its own, because torch's "SGD" means no momentum unless it is set.

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        momentum: float = 0.9,
        *,
        nesterov: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(params, lr, momentum, nesterov=nesterov, **settings)
