"""The fast generator against the dense one, in both ways, and what it keeps between calls."""

from __future__ import annotations

import copy
import pickle
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.code import code_dim
from segspade_core.spade.fast import FastGenerator
from segspade_core.spade.fast import generator as fast
from segspade_core.spade.fast.tables import Modulation
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.semantics import one_hot_semantics
from segspade_core.team import Team

SMALL = GeneratorArchitecture(num_labels=5, width=4, max_channels=16, hidden=5, upsamplings=2)
EXACT = 5e-5


def lively(architecture: GeneratorArchitecture, seed: int = 0) -> SpadeGenerator:
    """A generator that paints with contrast, and whose statistics and biases all matter."""
    torch.manual_seed(seed)
    generator = SpadeGenerator(architecture).eval().requires_grad_(False)
    for name, module in generator.named_modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.3, 1.5)
        elif "mlp" in name and isinstance(module, nn.Conv2d):
            module.bias.normal_(std=0.3)
        elif hasattr(module, "power_iteration"):
            module.power_iteration(3)
    return generator


def maps(size: tuple[int, int, int], labels: int, pattern: str = "blocks") -> tuple[Tensor, Tensor]:
    """(B, H, W) uint8 label ids and bool edges: all alike, in blocks with some noise, or at random."""
    _, height, width = size
    if pattern == "one":
        return torch.full(size, labels - 1, dtype=torch.uint8), torch.zeros(size, dtype=torch.bool)
    label_ids = torch.randint(labels, size, dtype=torch.uint8)
    edges = torch.rand(size) < 0.2
    if pattern == "blocks":
        coarse = label_ids[:, ::4, ::4].repeat_interleave(4, 1).repeat_interleave(4, 2)
        label_ids = torch.where(torch.rand(size) < 0.05, label_ids, coarse[:, :height, :width])
        label_ids[torch.rand(size) < 0.02] = 255
    return label_ids, edges


def dense(
    generator: SpadeGenerator, label_ids: Tensor, edges: Tensor | None, code: Tensor | None = None
) -> Tensor:
    with torch.no_grad():
        labels = generator.architecture.num_labels
        painted: Tensor = generator(one_hot_semantics(label_ids, edges, labels), code)
    return painted


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


architectures = st.builds(
    GeneratorArchitecture,
    num_labels=st.sampled_from([2, 5, 255]),
    instance_edges=st.booleans(),
    width=st.integers(1, 5),
    max_channels=st.sampled_from([6, 1024]),
    hidden=st.integers(1, 5),
    upsamplings=st.integers(1, 3),
    style_dim=st.sampled_from([0, 3]),
    cities=st.sampled_from([(), ("aachen", "bonn")]),
    condition_dim=st.just(2),
)


@pytest.mark.parametrize("compiled", [True, False])
@given(
    architecture=architectures,
    heads=st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    pattern=st.sampled_from(["one", "blocks", "random"]),
    mean_code=st.booleans(),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_dense_form(
    compiled: bool,
    architecture: GeneratorArchitecture,
    heads: tuple[int, int, int],
    pattern: str,
    mean_code: bool,
    seed: int,
) -> None:
    """Fault: a wrong parent pixel, the code of another sample or none, a shortcut with activation."""
    generator, step = lively(architecture, seed), 2**architecture.upsamplings
    size = heads[0], heads[1] * step, heads[2] * step
    label_ids, some_edges = maps(size, architecture.num_labels, pattern)
    edges = some_edges if architecture.instance_edges else None
    length = code_dim(architecture)
    code = torch.randn(size[0], length) if length and not mean_code else None
    painted = FastGenerator(generator, compiled=compiled)(label_ids, edges, code)
    expected = dense(generator, label_ids, edges, code)
    assert painted.dtype == torch.float32
    assert painted.is_contiguous()
    torch.testing.assert_close(painted, expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_wide_and_deep_generator_agrees_in_parts_of_every_shape(compiled: bool) -> None:
    """Fault: parts of a picture that overlap or leave a gap, where a picture is more than one part."""
    generator = lively(
        GeneratorArchitecture(num_labels=6, width=9, max_channels=300, hidden=7, upsamplings=6, style_dim=2)
    )
    label_ids, edges = maps((1, 64, 192), 6)
    code = torch.randn(1, 2)
    painted = FastGenerator(generator, compiled=compiled)(label_ids, edges, code)
    torch.testing.assert_close(painted, dense(generator, label_ids, edges, code), atol=EXACT, rtol=0)


@pytest.mark.parametrize(("height", "width"), [(36, 76), (68, 132)])
def test_parts_of_pictures_at_their_borders(height: int, width: int) -> None:
    """Fault: a part beyond the border, where a picture is not a multiple of parts."""
    generator = lively(SMALL)
    label_ids, edges = maps((2, height, width), 5)
    painted = FastGenerator(generator)(label_ids, edges)
    torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_linear_head_starts_from_the_code_alone(compiled: bool) -> None:
    architecture = SMALL.model_copy(update={"style_dim": 3, "linear_head": (3, 5)})
    generator = lively(architecture)
    label_ids, edges = maps((2, 12, 20), 5)
    painter = FastGenerator(generator, compiled=compiled)
    for code in (torch.randn(2, 3), None):
        painted = painter(label_ids, edges, code)
        torch.testing.assert_close(painted, dense(generator, label_ids, edges, code), atol=EXACT, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_any_integers_and_no_edges(compiled: bool) -> None:
    """Fault: 255 read as -1, edges of chance where none are given."""
    generator = lively(SMALL)
    label_ids, _ = maps((1, 8, 12), 5)
    expected = dense(generator, label_ids, torch.zeros(1, 8, 12, dtype=torch.bool))
    painter = FastGenerator(generator, compiled=compiled)
    for dtype in (torch.uint8, torch.int16, torch.int32, torch.int64, torch.uint16, torch.uint32):
        torch.testing.assert_close(painter(label_ids.to(dtype)), expected, atol=EXACT, rtol=0)
    label_ids[label_ids == 255] = 0  # there is none in int8
    torch.testing.assert_close(painter(label_ids.char()), expected, atol=EXACT, rtol=0)
    assert painter(label_ids[:0]).shape == (0, 3, 8, 12)


class Counter:
    """How many rows of tables were made: counts the calls' 5x5 patches, of all layers."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rows = 0
        fill = Modulation.fill

        def counted(self_: Modulation, out: Tensor, *others: object) -> None:
            self.rows += len(out)
            fill(self_, out, *others)  # type: ignore[arg-type]

        monkeypatch.setattr(Modulation, "fill", counted)

    def since(self) -> int:
        rows, self.rows = self.rows, 0
        return rows


@pytest.mark.parametrize("compiled", [True, False])
def test_an_edited_map_makes_few_rows_and_paints_what_a_new_generator_paints(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: stale tables, numbers that move as tables grow, tables that are made anew each time."""
    counter, generator = Counter(monkeypatch), lively(SMALL)
    label_ids, edges = maps((1, 32, 48), 5)
    painter = FastGenerator(generator, compiled=compiled)
    first = painter(label_ids, edges)
    all_rows = counter.since()
    assert torch.equal(painter(label_ids, edges), first)
    assert counter.since() == 0
    edited = label_ids.clone()
    edited[0, 9:12, 20:24] = 4
    for changed in (edited, label_ids, edited):
        painted = painter(changed, edges)
        torch.testing.assert_close(painted, dense(generator, changed, edges), atol=EXACT, rtol=0)
    assert 0 < counter.since() < all_rows / 5
    # another size and another batch go on with the same patches
    others, other_edges = maps((3, 16, 8), 5)
    painted = painter(others, other_edges)
    torch.testing.assert_close(painted, dense(generator, others, other_edges), atol=EXACT, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_tables_are_kept_within_their_bound(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: tables that grow with every map that is painted, or wrong rows after tables were forgotten."""
    counter, generator = Counter(monkeypatch), lively(SMALL)
    random_maps = [maps((1, 16, 16), 5, "random") for _ in range(6)]
    # enough for the patches of one of these maps, not of two
    monkeypatch.setattr(fast, "_KEPT_BYTES_PER_PIXEL", 400)
    painter = FastGenerator(generator, compiled=compiled)
    for label_ids, edges in random_maps:
        painted = painter(label_ids, edges)
        torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)
        assert 0 < painter.kept_bytes <= 3 * 400 * 16 * 16
    counter.since()
    painter(*random_maps[-1])
    assert counter.since() == 0
    keeps_none = FastGenerator(generator, keep_tables=False, compiled=compiled)
    painted = keeps_none(*random_maps[0])
    assert keeps_none.kept_bytes == 0
    assert torch.equal(keeps_none(*random_maps[0]), painted)
    torch.testing.assert_close(painted, dense(generator, *random_maps[0]), atol=EXACT, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_maps_at_random_are_convolved_and_not_looked_up(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: the worst case pays for patches and saves nothing; a row of another pixel; stale rows."""
    counter = Counter(monkeypatch)
    generator = lively(SMALL)
    painter = FastGenerator(generator, keep_tables=False, compiled=compiled)
    for size in ((1, 32, 32), (2, 24, 36)):
        label_ids, edges = maps(size, 5, "random")
        counter.since()
        painted = painter(label_ids, edges)
        torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)
        # two layers at a quarter of the sides and four at half; the finest level makes no rows of patches
        assert counter.since() <= size[0] * size[1] * size[2] * (2 / 16 + 4 / 4)
        label_ids, edges = maps(size, 5, "one")
        painted = painter(label_ids, edges)
        torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)


def test_a_call_that_is_broken_off_leaves_no_half_filled_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: patches that count as known though their rows were never made."""
    generator = lively(SMALL)
    painter = FastGenerator(generator)
    label_ids, edges = maps((1, 16, 16), 5)
    painter(label_ids[:, :8, :8].contiguous(), edges[:, :8, :8].contiguous())
    fill, calls = Modulation.fill, 0

    def broken(self: Modulation, out: Tensor, *others: object) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        fill(self, out, *others)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Modulation, "fill", broken)
        with pytest.raises(KeyboardInterrupt):
            painter(label_ids, edges)
    torch.testing.assert_close(
        painter(label_ids, edges), dense(generator, label_ids, edges), atol=EXACT, rtol=0
    )


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("dtype", [torch.int8, torch.int16, torch.int32, torch.int64])
def test_an_instance_that_refused_an_id_paints_on(compiled: bool, dtype: torch.dtype) -> None:
    """Fault: in int8 -1 is 255 and gets past the check; its patches then stay in the tables for ever."""
    generator = lively(SMALL)
    painter = FastGenerator(generator, compiled=compiled)
    label_ids, edges = maps((1, 8, 8), 5)
    strange = label_ids.clamp(max=4).to(dtype)
    strange[0, 3, 3] = -1
    with pytest.raises(
        InputError, match=r"^the label maps hold the ids -1; this generator knows 0 to 4, and"
    ):
        painter(strange, edges)
    painted = painter(label_ids, edges)
    torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_a_call_that_fails_inside_leaves_nothing_in_the_tables(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: a patch that no row can be made of stays numbered, and every later call fails of it."""
    generator = lively(SMALL)
    painter = FastGenerator(generator, compiled=compiled)
    label_ids, edges = maps((1, 8, 8), 5)
    painter(label_ids, edges)
    strange = label_ids.short().clamp(max=4)
    strange[0, 3, 3] = 500
    with monkeypatch.context() as patched:
        patched.setattr(fast, "check_label_ids", lambda *_: None)
        patched.setattr(
            fast, "one_hot_semantics", lambda ids, *_: one_hot_semantics(ids % 5, edges[:, ::4, ::4], 5)
        )
        with pytest.raises((RuntimeError, IndexError)):
            painter(strange, edges)
    assert painter.kept_bytes == 0
    for _ in range(2):
        painted = painter(label_ids, edges)
        torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)
    assert painter.kept_bytes > 0


@pytest.mark.parametrize("compiled", [True, False])
def test_a_second_thread_is_refused_and_the_first_paints_on(
    compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: both write to the same memory and the process ends; or the refused call spoils the tables, or
    leaves the instance in use for ever."""
    generator = lively(SMALL)
    painter = FastGenerator(generator, compiled=compiled)
    label_ids, edges = maps((1, 16, 16), 5)
    expected = dense(generator, label_ids, edges)
    inside, go_on, painted = threading.Event(), threading.Event(), []
    fill = Modulation.fill

    def slow(self: Modulation, out: Tensor, *others: object) -> None:
        inside.set()
        assert go_on.wait(20)
        fill(self, out, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Modulation, "fill", slow)
    first = threading.Thread(target=lambda: painted.append(painter(label_ids, edges)))
    first.start()
    assert inside.wait(20)
    try:
        for in_use in (painter, copy.copy(painter)):  # the copy works in the same memory
            with pytest.raises(InputError) as caught:
                in_use(label_ids, edges)
            assert str(caught.value) == (
                "this FastGenerator is painting for another thread; make one instance for each thread"
            )
    finally:
        go_on.set()
        first.join()
    torch.testing.assert_close(painted[0], expected, atol=EXACT, rtol=0)
    assert torch.equal(painter(label_ids, edges), painted[0])
    with pytest.raises(InputError, match="multiples of 4"):
        painter(label_ids[:, :6], edges[:, :6])
    assert torch.equal(painter(label_ids, edges), painted[0])


def test_many_threads_on_one_instance_paint_rightly_or_not_at_all() -> None:
    """Fault: a segmentation fault, which takes the process."""
    generator = lively(SMALL)
    painter = FastGenerator(generator)
    label_ids, edges = maps((1, 32, 32), 5)
    expected, painted, refused = dense(generator, label_ids, edges), [], []

    def paint() -> None:
        for _ in range(10):
            try:
                painted.append(painter(label_ids, edges))
            except InputError as error:
                refused.append(str(error))

    workers = [threading.Thread(target=paint) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(painted) + len(refused) == 40
    for image in painted:
        torch.testing.assert_close(image, expected, atol=EXACT, rtol=0)
    assert set(refused) <= {
        "this FastGenerator is painting for another thread; make one instance for each thread"
    }


def test_it_is_copied_as_far_as_its_memory_is() -> None:
    """Fault: a lock that cannot be copied; a deep copy that waits for the instance it was made of."""
    generator = lively(SMALL)
    label_ids, edges = maps((1, 8, 8), 5)
    plain = FastGenerator(generator, compiled=False)
    deep, expected = copy.deepcopy(plain), plain(label_ids, edges)
    with plain._turn.taken("in use"):
        assert torch.equal(deep(label_ids, edges), expected)
        with pytest.raises(InputError):
            copy.copy(plain)(label_ids, edges)
    assert torch.equal(
        copy.copy(FastGenerator(generator))(label_ids, edges), FastGenerator(generator)(label_ids, edges)
    )
    turn = pickle.loads(pickle.dumps(plain._turn))
    with turn.taken("in use"), pytest.raises(InputError, match="in use"), turn.taken("in use"):
        pass


def test_a_kernel_that_fails_waits_for_the_other_threads() -> None:
    """Fault: a call that is broken off while its threads still write to what the next call works in."""
    torch.set_num_threads(2)
    done = []

    def kernel(first: int, last: int) -> None:
        if first == 0:
            raise KeyboardInterrupt
        time.sleep(0.2)
        done.append(last)

    with pytest.raises(KeyboardInterrupt):
        Team().run(kernel, 2)
    assert done == [2]


@pytest.mark.parametrize("threads", [1, 3])
def test_instances_paint_at_once_on_threads_of_their_own(threads: int) -> None:
    """Fault: memory shared between instances, a range of rows painted by nobody."""
    torch.set_num_threads(threads)
    generator = lively(SMALL)
    label_ids, edges = maps((1, 32, 32), 5)
    expected = dense(generator, label_ids, edges)
    painters = [FastGenerator(generator) for _ in range(2)]
    painted: dict[int, list[Tensor]] = {0: [], 1: []}

    def paint(index: int) -> None:
        for _ in range(4):
            painted[index].append(painters[index](label_ids, edges))

    workers = [threading.Thread(target=paint, args=(index,)) for index in painted]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for image in painted[0] + painted[1]:
        torch.testing.assert_close(image, expected, atol=EXACT, rtol=0)


def test_the_result_is_an_ordinary_tensor_and_no_later_call_changes_it() -> None:
    """Fault: a view of memory that is used again; a tensor that inference mode has marked."""
    painter = FastGenerator(lively(SMALL))
    label_ids, edges = maps((1, 16, 16), 5)
    first = painter(label_ids, edges)
    before = first.clone()
    painter(4 - label_ids.clamp(max=4), edges)
    assert torch.equal(first, before)
    scale = torch.ones(1, requires_grad=True)
    (first * scale).sum().backward()  # raises for inference tensors
    assert scale.grad is not None


@pytest.mark.parametrize("folded", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_the_generator_is_neither_changed_nor_watched(folded: bool, compiled: bool) -> None:
    """Fault: weights shared with the generator, which may be trained on."""
    generator = lively(SMALL).inference_copy() if folded else lively(SMALL)
    label_ids, edges = maps((1, 8, 8), 5)
    before = {name: entry.clone() for name, entry in generator.state_dict().items()}
    unchanged = copy.deepcopy(generator)
    painter = FastGenerator(generator, compiled=compiled)
    first = painter(label_ids, edges)
    for name, entry in generator.state_dict().items():
        assert torch.equal(entry, before[name]), name
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.zero_()
    assert torch.equal(painter(label_ids, edges), first)
    # another map, so that nothing comes from tables that are kept
    others, other_edges = maps((1, 16, 16), 5)
    expected = FastGenerator(unchanged, compiled=compiled)(others, other_edges)
    torch.testing.assert_close(painter(others, other_edges), expected, atol=1e-6, rtol=0)


def test_bfloat16_is_within_its_tolerance() -> None:
    """Fault: tables or sums that lose more than 8 bits of mantissa do."""
    try:
        fast.check_dtype(torch.bfloat16, torch.device("cpu"))
    except InputError:
        pytest.skip("this processor has no bfloat16")
    generator = lively(
        GeneratorArchitecture(num_labels=8, width=16, max_channels=64, hidden=16, upsamplings=4, style_dim=3)
    )
    label_ids, edges = maps((2, 32, 64), 8)
    code = torch.randn(2, 3)
    painted = FastGenerator(generator, torch.bfloat16)(label_ids, edges, code)
    assert painted.dtype == torch.float32
    difference = (painted - dense(generator, label_ids, edges, code)).abs()
    assert difference.max() <= 0.06
    assert difference.mean() <= 0.006


def test_bfloat16_is_refused_where_it_would_be_imitated(monkeypatch: pytest.MonkeyPatch) -> None:
    capabilities = {"avx2": True, "avx512_bf16": False, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    with pytest.raises(InputError, match=r"^this machine's cpu has no bfloat16: paint in float32$"):
        FastGenerator(lively(SMALL), torch.bfloat16)
    with pytest.raises(
        InputError, match=r"^torch.float16: the fast generator paints in float32 or bfloat16$"
    ):
        FastGenerator(lively(SMALL), torch.float16)


def test_without_numba_pytorch_paints(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: an import that fails where the optional library is missing."""
    monkeypatch.setitem(sys.modules, "numba", None)
    for module in ("compiled", "spade.fast.kernels", "spade.patches.kernels"):
        monkeypatch.delitem(sys.modules, f"segspade_core.{module}", raising=False)
    generator = lively(SMALL)
    label_ids, edges = maps((1, 8, 8), 5)
    painted = FastGenerator(generator)(label_ids, edges)
    torch.testing.assert_close(painted, dense(generator, label_ids, edges), atol=EXACT, rtol=0)
    with pytest.raises(InputError, match=r"^compiled kernels are for float32 on the CPU, and need Numba"):
        FastGenerator(generator, compiled=True)


def test_what_the_dense_form_refuses_is_refused_alike() -> None:
    generator = lively(SMALL)
    painter = FastGenerator(generator)
    label_ids, edges = maps((1, 8, 8), 5)
    strange = label_ids.clone()
    strange[0, 0, 0] = 5
    wrong = (label_ids[0], label_ids[0, 0], label_ids[None], label_ids.float(), label_ids.bool())
    for bad_ids in (strange, label_ids[:, :6], label_ids.short() - 9, *wrong, label_ids.numpy()):
        with pytest.raises(InputError) as ours:
            painter(bad_ids)
        with pytest.raises(InputError) as theirs:
            dense(generator, bad_ids, torch.zeros(tuple(bad_ids.shape), dtype=torch.bool))
        assert str(ours.value) == str(theirs.value)
    for bad_edges in (edges[..., :4], edges[0], edges.float(), edges.numpy()):
        with pytest.raises(InputError) as ours:
            painter(label_ids, bad_edges)
        with pytest.raises(InputError) as theirs:
            dense(generator, label_ids, bad_edges)
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(InputError, match=r"^instance_edges have shape \(1, 8, 4\), label_ids \(1, 8, 8\)$"):
        painter(label_ids, edges[..., :4])
    with pytest.raises(InputError, match=r"^this generator paints from the label map alone: leave the code"):
        painter(label_ids, edges, torch.zeros(1, 3))
    without = FastGenerator(lively(SMALL.model_copy(update={"instance_edges": False})))
    with pytest.raises(
        InputError, match=r"^this generator has no channel for instance edges: leave them out"
    ):
        without(label_ids, edges)
    styled = FastGenerator(lively(SMALL.model_copy(update={"style_dim": 3})))
    with pytest.raises(InputError, match=r"^the code has shape \(1, 2\); this generator takes \(1, 3\)$"):
        styled(label_ids, edges, torch.zeros(1, 2))
    with pytest.raises(
        InputError,
        match=r"^the code is a tensor of shape \(1, 3\) and torch\.float64; this generator takes a tensor of",
    ):
        styled(label_ids, edges, torch.zeros(1, 3).double())
