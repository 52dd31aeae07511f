"""What a worker says of its environment is plain: it loads nothing in the process that reads it."""

import pickle

from equipoise.training.loop.determinism import environment


def test_the_environment_is_received_without_torch():
    facts = environment(1)
    assert facts["torch"]
    assert b"torch_version" not in pickle.dumps(facts)
