"""Style and conditions in one code, and what the layers make of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.code import CodeBook, code_dim
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.modulation import Spade
from segspade_core.spade.semantics import instance_edges, one_hot_semantics

ARCHITECTURE = GeneratorArchitecture(
    num_labels=4, width=2, max_channels=8, hidden=3, upsamplings=2, style_dim=3,
    cities=("bonn", "jena", "ulm"), times_of_day=("day", "night"), condition_dim=2,
)  # fmt: skip


def semantics_of(batch: int, height: int, width: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    label_ids = torch.randint(0, 4, (batch, height, width), generator=random, dtype=torch.uint8)
    return one_hot_semantics(label_ids, instance_edges(label_ids), 4)


def test_the_length_is_of_what_is_known() -> None:
    """Fault: a condition of no names counted."""
    assert code_dim(ARCHITECTURE) == 3 + 2 + 2
    assert code_dim(ARCHITECTURE.model_copy(update={"cities": ()})) == 3 + 2
    assert code_dim(GeneratorArchitecture(style_dim=5)) == 5
    assert code_dim(GeneratorArchitecture()) == 0


def test_style_city_and_time_stand_in_this_order() -> None:
    """Fault: parts in another order, the row of another name, city and time exchanged."""
    book = CodeBook(ARCHITECTURE)
    assert list(book.state_dict()) == ["city.weight", "time_of_day.weight"]
    style = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    code = book(style, {"time_of_day": torch.tensor([1, 0]), "city": torch.tensor([2, 0])}, 2)
    assert torch.equal(code[:, :3], style)
    assert torch.equal(code[:, 3:5], book.city.weight[[2, 0]])
    assert torch.equal(code[:, 5:], book.time_of_day.weight[[1, 0]])


def test_unknown_is_the_mean_of_all_that_is_known() -> None:
    """Fault: -1 is the last name, or zeros; a mean that teaches nothing."""
    book = CodeBook(ARCHITECTURE)
    code = book(None, {"city": torch.tensor([-1, 1])}, 2)
    assert torch.equal(code[:, :3], torch.zeros(2, 3))
    torch.testing.assert_close(code[0, 3:5], book.city.weight.mean(0))
    assert torch.equal(code[1, 3:5], book.city.weight[1])
    torch.testing.assert_close(code[:, 5:], book.time_of_day.weight.mean(0).expand(2, 2))
    code[0, 3:5].sum().backward()
    torch.testing.assert_close(book.city.weight.grad, torch.full((3, 2), 1 / 3))


def test_a_style_of_another_length_is_named() -> None:
    with pytest.raises(
        InputError, match=r"^the style code has shape \(2, 4\); this generator takes \(2, 3\)$"
    ):
        CodeBook(ARCHITECTURE)(torch.zeros(2, 4), {}, 2)


def test_spade_adds_the_code_to_gamma_and_beta() -> None:
    """Fault: gamma and beta exchanged, the code in front of the norm, or on one of them alone."""
    torch.manual_seed(0)
    spade = Spade(6, 5, 4, code_dim=7)
    semantics, x, code = semantics_of(2, 4, 5), torch.randn(2, 6, 4, 5), torch.randn(2, 7)
    hidden = torch.relu(spade.mlp_shared[0](semantics))
    of_code = code @ spade.code.weight.T  # (2, 12)
    gamma = spade.mlp_gamma(hidden) + of_code[:, :6, None, None]
    beta = spade.mlp_beta(hidden) + of_code[:, 6:, None, None]
    mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    normalised = (x - mean[:, None, None]) / (variance + 1e-5).sqrt()[:, None, None]
    torch.testing.assert_close(
        spade(x, semantics, code), normalised * (1 + gamma) + beta, atol=1e-5, rtol=1e-5
    )
    without = normalised * (1 + spade.mlp_gamma(hidden)) + spade.mlp_beta(hidden)
    torch.testing.assert_close(spade(x, semantics), without, atol=1e-5, rtol=1e-5)


def test_every_layer_takes_part_and_no_code_is_the_mean_code() -> None:
    """Fault: a norm that is given no code; None paints in the style of some city."""
    torch.manual_seed(0)
    generator, semantics = SpadeGenerator(ARCHITECTURE), semantics_of(2, 8, 12)
    with torch.no_grad():
        for _ in range(20):  # statistics as training leaves them; tanh saturates without
            generator(semantics, torch.randn(2, 7))
    generator.eval()
    norms = [module for module in generator.modules() if isinstance(module, Spade)]
    assert len(norms) == 2 * 4 + 1  # one shortcut, where the width changes
    assert all(norm.code.weight.shape[1] == 7 for norm in norms)
    code = torch.randn(2, 7)
    generator(semantics, code).sum().backward()
    assert all(norm.code.weight.grad.abs().max() > 0 for norm in norms)
    mean = torch.cat([
        torch.zeros(3),
        generator.code_book.city.weight.mean(0),
        generator.code_book.time_of_day.weight.mean(0),
    ])  # fmt: skip
    torch.testing.assert_close(generator(semantics), generator(semantics, mean.expand(2, 7)))
    one, other = generator(semantics, code), generator(semantics, code.flip(0))
    assert (one - other).abs().max() > 1e-4


def test_a_linear_head_starts_from_the_code_alone() -> None:
    """Fault: height and width exchanged; layers that take the code as well; conditions left out of it."""
    architecture = ARCHITECTURE.model_copy(update={"linear_head": (2, 3)})
    torch.manual_seed(0)
    generator = SpadeGenerator(architecture).eval()
    assert isinstance(generator.fc, nn.Linear)
    assert generator.fc.weight.shape == (4 * 2 * 3, 7)
    assert not any(hasattr(module, "code") for module in generator.modules() if isinstance(module, Spade))
    code = torch.randn(1, 7)
    start = generator.start(semantics_of(1, 2, 3), code)
    flat = code @ generator.fc.weight.T + generator.fc.bias
    torch.testing.assert_close(start, flat.reshape(1, 4, 2, 3))
    painted = generator(semantics_of(1, 8, 12), code)
    assert painted.shape == (1, 3, 8, 12)
    assert (painted - generator(semantics_of(1, 8, 12))).abs().max() > 1e-5
    with pytest.raises(InputError, match="starts from a style code, and paints at 8x12 alone; resize them"):
        generator(semantics_of(1, 8, 16), code)
