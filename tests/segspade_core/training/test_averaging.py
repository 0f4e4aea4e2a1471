"""The average of weights and batch statistics, by hand and over a crash."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from segspade_core.training.averaging import average_of, decay_at, follow
from segspade_core.training.checkpoint import pack_state, unpack_state


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)).to(memory_format=torch.channels_last)


def moved(live: nn.Module, number: int) -> nn.Module:
    """`live` after a step of some training."""
    random = torch.Generator().manual_seed(number)
    with torch.no_grad():
        for value in live.state_dict().values():
            value.add_(1 if value.dtype == torch.int64 else torch.rand(value.shape, generator=random))
    return live


def test_the_average_by_hand() -> None:
    """Fault: decay and 1 - decay swapped; batch statistics left at their start, or the counter averaged."""
    average, live = nn.BatchNorm2d(1), nn.BatchNorm2d(1)
    with torch.no_grad():
        average.weight.fill_(1)
        live.weight.fill_(3)
    for statistics in (live.running_mean, live.running_var):
        assert statistics is not None
        statistics.fill_(5)
    live.num_batches_tracked.fill_(7)  # type: ignore[operator, union-attr]
    follow(average, live, 0.75)
    values = {name: value.item() for name, value in average.state_dict().items()}
    assert values == {
        "weight": 1.5, "bias": 0, "running_mean": 1.25, "running_var": 2.0, "num_batches_tracked": 7
    }  # fmt: skip


def test_the_average_of_many_steps_is_their_weighted_sum() -> None:
    """Peer: decay^n of the start and (1 - decay) decay^(n - i) of what step i left, in float64."""
    live = network()
    average, decay = average_of(live), 0.8
    expected = {name: value.double() for name, value in live.state_dict().items()}
    for number in range(5):
        follow(average, moved(live, number), decay)
        for name, value in live.state_dict().items():
            expected[name] = decay * expected[name] + (1 - decay) * value.double()
    for name, value in average.state_dict().items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), expected[name], rtol=1e-6, atol=1e-6)


def test_decay_by_hand() -> None:
    """Fault: a decay that is whole from the first step on, so that the random start is still half of it."""
    found = [decay_at(0.9, taken) for taken in (0, 1, 9, 80, 81, 1000)]
    assert found == pytest.approx([0.1, 2 / 11, 10 / 19, 0.9, 0.9, 0.9])
    assert decay_at(0.9, 0, warm_up=False) == 0.9


def test_an_average_starts_as_its_network_and_apart_from_it() -> None:
    """Fault: shared tensors, or an average that collects gradients."""
    live = network()
    average = average_of(live)
    assert all(map(torch.equal, average.state_dict().values(), live.state_dict().values()))
    assert not any(p.requires_grad for p in average.parameters())
    assert all(p.requires_grad for p in live.parameters())
    moved(live, 0)
    assert not torch.equal(average[0].weight, live[0].weight)


def test_an_average_goes_on_from_a_file_bit_for_bit() -> None:
    """Fault: something outside the state dict and the number of steps that the next average hangs on."""
    results = []
    for stop in (None, 3):
        live = network()
        average = average_of(live)
        for taken in range(6):
            if taken == stop:
                kept = unpack_state(pack_state({"average": average.state_dict()}))
                average = average_of(network(seed=9))
                average.load_state_dict(kept["average"])
            follow(average, moved(live, taken), decay_at(0.99, taken + 1))
        results.append(pack_state({"average": average.state_dict()}))
    assert results[0] == results[1]
