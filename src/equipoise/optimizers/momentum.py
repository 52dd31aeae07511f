"""SGD with Nesterov's momentum as a default."""

from collections.abc import Iterable
from typing import Any

from torch.optim import SGD

from equipoise.optimizers.saved_state import check_saved_state


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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load a state that SGD saved; raises EquipoiseError for any other."""
        check_saved_state(self, state_dict, lambda _group, _param: ((), ("momentum_buffer",)))
        super().load_state_dict(state_dict)
