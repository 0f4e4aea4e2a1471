"""Training state survives the way to bytes and back."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch

from segspade_core.errors import InputError
from segspade_core.training.checkpoint import (
    pack_state,
    pack_weights,
    read_metadata,
    restore_rng_states,
    rng_states,
    unpack_state,
    unpack_weights,
)


def test_an_optimiser_goes_on_as_if_nothing_happened() -> None:
    """Fault: integer keys come back as strings, and Adam silently starts with empty moments."""
    torch.manual_seed(0)
    model, data = torch.nn.Linear(3, 2), torch.randn(5, 3)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)

    def step(of_model: torch.nn.Module, by: torch.optim.Optimizer) -> None:
        by.zero_grad()
        of_model(data).square().sum().backward()
        by.step()

    step(model, optimiser)
    content = pack_state({"model": model.state_dict(), "optimiser": optimiser.state_dict()})
    step(model, optimiser)

    state = unpack_state(content)
    resumed = torch.nn.Linear(3, 2)
    resumed.load_state_dict(state["model"])
    optimiser = torch.optim.Adam(resumed.parameters(), lr=0.1)
    optimiser.load_state_dict(state["optimiser"])
    step(resumed, optimiser)

    assert torch.equal(resumed.weight, model.weight)


def test_containers_and_numbers_come_back_exactly() -> None:
    """Fault: floats rounded on the way, tuples turned into lists, None lost."""
    state = {"floats": [0.1, 1e-310, float("inf")], "pair": (1, "a"), "none": None, 3: {"deep": True}}
    assert unpack_state(pack_state(state)) == state


def test_random_generators_go_on_where_they_stood() -> None:
    """Fault: one of the three generators is left out, and a resumed run draws other augmentations."""
    import random

    states = unpack_state(pack_state({"rng": rng_states()}))["rng"]
    first = (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random())  # noqa: NPY002
    restore_rng_states(states)
    assert (torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()) == first  # noqa: NPY002


def test_equal_states_give_equal_bytes_in_every_process() -> None:
    """Fault: safetensors orders several metadata keys by a hash seeded anew in every process."""
    script = (
        "import torch, hashlib; from segspade_core.training.checkpoint import pack_state;"
        "print(hashlib.sha256(pack_state({'a': torch.ones(3), 'b': 1.5}, {'x': 1, 'y': 2})).hexdigest())"
    )
    digests = {subprocess.check_output([sys.executable, "-c", script]) for _ in range(3)}
    assert len(digests) == 1


def test_metadata_is_read_without_the_tensors() -> None:
    assert read_metadata(pack_weights({"w": torch.zeros(2)}, {"config": {"width": 3}})) == {
        "config": {"width": 3}
    }


def test_a_foreign_safetensors_file_is_weights_without_metadata() -> None:
    from safetensors.torch import save

    tensors, metadata = unpack_weights(save({"w": torch.ones(2)}))
    assert metadata == {}
    assert torch.equal(tensors["w"], torch.ones(2))


@pytest.mark.parametrize("content", [b"", b"not a checkpoint at all", pack_weights({}, {})])
def test_other_bytes_are_named(content: bytes) -> None:
    with pytest.raises(InputError, match=r"^last\.safetensors: not a SegSPADE checkpoint"):
        unpack_state(content, "last.safetensors")


def test_what_cannot_be_packed_is_named() -> None:
    with pytest.raises(TypeError, match="model/hook: a function cannot be packed"):
        pack_state({"model": {"hook": lambda: None}})
