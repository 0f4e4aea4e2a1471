"""Files of strangers: what is refused says what is in the file and how to mend it, in words of ours."""

from __future__ import annotations

import collections
import io
import os
import zipfile
from typing import Any

import pytest
import torch
from safetensors.torch import save as save_safetensors

from segspade_core.errors import WeightsError
from segspade_core.training.checkpoint import pack_weights
from segspade_core.training.weights_file import read_entries, read_safetensors

ENTRIES = {"fc.weight": torch.ones(40, 30), "fc.bias": torch.ones(40)}
MENDED = "nothing in it was run; save `generator.state_dict()` alone"
NOT_TOLD = (
    f"not a plain checkpoint of tensors: it holds something else, or is damaged; {MENDED}, or copy it again"
)
CUT_OFF = "cannot be read as a checkpoint: it is cut off or damaged, so copy it again"
CUT_OFF_SAFE = "cannot be read as a safetensors file: it is cut off or damaged, so copy it again"


def saved(content: Any, old: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not old)
    return buffer.getvalue()


def refusal(content: bytes) -> str:
    """What the message says behind the file's name: one line, of ours."""
    with pytest.raises(WeightsError) as caught:
        read_entries(content, "runs/latest_net_G.pth", "generator")
    text = str(caught.value)
    assert text.isprintable(), "codes that a terminal obeys, or several lines"
    for theirs in ("weights_only", "torch.load", "Re-running", "miniz", "GLOBAL", "add_safe_globals"):
        assert theirs not in text
    source, _, message = text.partition(": ")
    assert source == "runs/latest_net_G.pth"
    return message


class Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("true",)


@pytest.mark.parametrize("old", [False, True])
def test_a_pickle_of_more_than_tensors_names_what_was_not_run(old: bool) -> None:
    """Fault: torch's text is quoted, which advises to run it."""
    message = "not a plain checkpoint of tensors: it holds '{}'; " + MENDED
    assert refusal(saved({**ENTRIES, "x": Planted()}, old)) == message.format("posix.system")
    module = torch.nn.Linear(2, 3)
    assert refusal(saved(module, old)) == message.format("torch.nn.modules.linear.Linear")
    assert refusal(saved({"model": module}, old)) == message.format("torch.nn.modules.linear.Linear")
    names = collections.namedtuple("names", "x")
    globals()["names"] = names
    assert refusal(saved(names(1), old)) == message.format(f"{__name__}.names")


def test_what_torch_would_advise_is_not_in_the_traceback_either() -> None:
    """Fault: the advice comes back as the cause of our error, in every log."""
    with pytest.raises(WeightsError) as caught:
        read_entries(saved(torch.nn.Linear(2, 3)), "x", "generator")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02cposix\x1b[1m\nsystem\x1b[0m\n.",
        b"\x80\x02cposix\nsystem and all the rest of it\n.",
        b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00N.",  # of a protocol that torch does not read
    ],
)
def test_a_name_that_is_no_name_is_not_quoted(pickled: bytes) -> None:
    """Fault: what a stranger wrote is printed: it may recolour the terminal, or look like a message."""
    message = refusal(pickled)
    if "'" in message:
        assert "'posix.system'" in message
    else:
        assert message == NOT_TOLD


def test_a_program_of_torchscript_is_told() -> None:
    buffer = io.BytesIO(saved(ENTRIES))
    with zipfile.ZipFile(buffer, "a") as file:
        file.writestr("archive/constants.pkl", b"")  # what tells the two kinds of archive apart
    assert refusal(buffer.getvalue()) == (
        f"not a plain checkpoint of tensors: it holds a program of TorchScript; {MENDED}"
    )


@pytest.mark.parametrize("entry", [3, {"a": 1}, torch.zeros(2, device="meta")])
def test_a_name_of_an_entry_is_quoted_so_that_no_terminal_obeys_it(entry: Any) -> None:
    assert r"'\x1b[31mfc'" in refusal(saved({"\x1b[31mfc": entry}))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_checkpoint_that_was_cut_off_is_to_be_copied_again(kept: float) -> None:
    """Fault: five sentences of torch's about miniz."""
    for content in (saved(ENTRIES), saved(ENTRIES, old=True)):
        assert refusal(content[: int(len(content) * kept)]) in (
            CUT_OFF,
            # in the midst of a pickle torch cannot tell one from the other
            NOT_TOLD,
        )
    assert refusal(saved(ENTRIES)[:-9]) == CUT_OFF
    assert refusal(saved(ENTRIES, old=True)[:-9]) == CUT_OFF


def test_a_safetensors_file_that_was_cut_off_is_to_be_copied_again() -> None:
    """Fault: 'not a safetensors file', and no word of what to do."""
    for content in (save_safetensors(ENTRIES), pack_weights(ENTRIES, {"kind": "generator"})):
        assert set(read_entries(content, "x", "generator")[0]) == set(ENTRIES)
        for end in (5, 8, 9, 40, len(content) // 2, len(content) - 1):
            assert refusal(content[:end]) == CUT_OFF_SAFE
        with pytest.raises(WeightsError) as caught:
            read_safetensors(content[:-1], "x", "generator")
        assert str(caught.value) == f"x: {CUT_OFF_SAFE}"


@pytest.mark.parametrize(
    "content", [b"abc", b"8 bytes.", b"epoch 3: loss 0.7\n", b"\x89PNG\r\n\x1a\n" + bytes(99)]
)
def test_what_is_no_file_of_weights_says_what_to_give(content: bytes) -> None:
    """Fault: a note, or a picture, is 'not a safetensors file (header too large)'."""
    assert refusal(content) == (
        "neither a PyTorch checkpoint nor a safetensors file; give the file to which "
        "`generator.state_dict()` was saved, by torch.save or by safetensors"
    )
    with pytest.raises(WeightsError) as caught:
        read_safetensors(content, "x", "generator")
    assert str(caught.value) == "x: not a safetensors file; give the .safetensors file of a generator"
