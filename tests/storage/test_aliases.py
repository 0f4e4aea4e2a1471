"""Names are replaced at once, and what they meant is kept."""

from __future__ import annotations

import threading

import pytest

from storage.aliases import Aliases
from storage.errors import DamagedArtifact, MissingArtifact, StorageError

ONE, TWO, THREE = "1" * 16, "2" * 16, "3" * 16


def test_an_alias_means_what_it_was_set_to_last_and_remembers(root):
    aliases = Aliases(root)
    assert aliases.get("segmenter", "production") is None
    aliases.set("segmenter", "production", ONE, reason="first")
    aliases.set("segmenter", "production", TWO, reason="mIoU 0.61 over 0.58")
    aliases.set("generator", "production", ONE)
    assert aliases.get("segmenter", "production") == TWO
    history = aliases.history("segmenter", "production")
    assert [(entry["key"], entry["reason"]) for entry in history] == [
        (ONE, "first"),
        (TWO, "mIoU 0.61 over 0.58"),
    ]
    assert history[0]["created"] <= history[1]["created"]
    assert aliases.list() == [("generator", "production", ONE), ("segmenter", "production", TWO)]
    assert aliases.list("segmenter") == [("segmenter", "production", TWO)]


def test_a_removed_alias_means_nothing_and_keeps_its_history(root):
    aliases = Aliases(root)
    aliases.set("segmenter", "production", ONE)
    aliases.remove("segmenter", "production")
    assert (aliases.get("segmenter", "production"), aliases.list()) == (None, [])
    assert [entry["key"] for entry in aliases.history("segmenter", "production")] == [ONE, None]
    for missing in ("production", "never"):
        with pytest.raises(MissingArtifact, match=f"there is no alias segmenter/{missing}"):
            aliases.remove("segmenter", missing)
    with pytest.raises(MissingArtifact, match="segspade alias list"):
        aliases.history("segmenter", "never")


@pytest.mark.parametrize(
    "name", ["", "../x", "a/b", ".hidden", "-x", "a" * 65, "a\n", "ä", "0123456789abcdef"]
)
def test_a_name_that_is_no_name_is_refused(root, stored, name):
    with pytest.raises(StorageError, match="alias '"):
        Aliases(root).set("segmenter", name, ONE)
    assert stored.names(root / "aliases") == []


def test_kind_and_key_must_be_such(root):
    with pytest.raises(StorageError, match="'model' is no kind of artifact"):
        Aliases(root).set("model", "production", ONE)
    with pytest.raises(StorageError, match=r"'\.\./.* is no key"):
        Aliases(root).set("segmenter", "production", "../../x")


def test_set_by_many_at_once_no_entry_is_lost_and_a_reader_never_sees_a_part(root):
    aliases, seen, over = Aliases(root), set(), threading.Event()
    aliases.set("segmenter", "production", ONE)

    def read() -> None:
        while not over.is_set():
            seen.add(aliases.get("segmenter", "production"))

    reader = threading.Thread(target=read)
    reader.start()
    keys = [f"{i:016x}" for i in range(6)]
    threads = [threading.Thread(target=aliases.set, args=("segmenter", "production", key)) for key in keys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    over.set()
    reader.join()
    assert {entry["key"] for entry in aliases.history("segmenter", "production")} == {ONE, *keys}
    assert None not in seen


def test_a_damaged_alias_says_which_file_it_is(root, stored):
    aliases = Aliases(root)
    aliases.set("segmenter", "production", ONE)
    stored.write(root / "aliases" / "segmenter" / "production.json", b"{")
    with pytest.raises(DamagedArtifact, match=r"segmenter/production\.json: not an alias"):
        aliases.get("segmenter", "production")


def test_a_rollback_goes_back_meaning_by_meaning(root):
    """Fault: a second rollback that goes forward again, or stops at a key set twice in a row."""
    aliases = Aliases(root)
    for key in (ONE, TWO, TWO, THREE):
        aliases.set("segmenter", "production", key)
    assert aliases.rollback("segmenter", "production") == TWO
    assert aliases.get("segmenter", "production") == TWO
    assert aliases.rollback("segmenter", "production", "looked worse at night") == ONE
    with pytest.raises(
        MissingArtifact,
        match=rf"^segmenter/production means {ONE}, and there is nothing left to go back to$",
    ):
        aliases.rollback("segmenter", "production")
    last = aliases.history("segmenter", "production")[-1]
    assert (last["key"], last["reason"], last["undoes"]) == (ONE, "looked worse at night", TWO)
    assert len(aliases.history("segmenter", "production")) == 6


def test_after_a_rollback_a_new_meaning_is_what_is_undone_next(root):
    aliases = Aliases(root)
    for key in (ONE, TWO):
        aliases.set("segmenter", "production", key)
    aliases.rollback("segmenter", "production")
    aliases.set("segmenter", "production", THREE)
    assert aliases.rollback("segmenter", "production") == ONE


def test_what_was_undone_is_known_until_it_is_set_again(root):
    """Fault: a retrain that promotes at once again what a person has just taken back."""
    aliases = Aliases(root)
    assert aliases.undone("segmenter", "production") == set()
    for key in (ONE, TWO):
        aliases.set("segmenter", "production", key)
    aliases.rollback("segmenter", "production")
    assert aliases.undone("segmenter", "production") == {TWO}
    assert aliases.undone("segmenter", "other") == set()
    aliases.set("segmenter", "production", TWO)
    assert aliases.undone("segmenter", "production") == set()


def test_there_must_be_something_to_roll_back(root):
    aliases = Aliases(root)
    with pytest.raises(MissingArtifact, match=r"^there is no alias segmenter/production; "):
        aliases.rollback("segmenter", "production")
    for key in (ONE, TWO):
        aliases.set("segmenter", "production", key)
    aliases.remove("segmenter", "production")
    with pytest.raises(MissingArtifact, match=r"^there is no alias segmenter/production; "):
        aliases.rollback("segmenter", "production")
