"""The bytes of a YAML (or JSON) file → a mapping of settings, or one sentence on why not.

YAML lets a writer say things that are hardly ever meant: a key twice, of which the first is lost without a
word; names for parts of the file that repeat each other until memory runs out. The former is refused, the
latter is bounded; PyYAML's own failures, which are of many kinds, do not get past this module.
"""

from __future__ import annotations

import codecs
from collections.abc import Hashable
from typing import Any

import yaml

from segspade_core.errors import InputError, printable

MAX_BYTES = 1 << 16  # the longest of ours has 2 kB; a megabyte can keep PyYAML busy for minutes
_MAX_BITS = 1000  # of a whole number
_MAX_VALUES = 20_000  # once every alias is written out
_EXAMPLE = "as in configs/minicity.yaml"
# what PyYAML's constructors raise for values that look like a number, a date or a tag and are none
_NO_VALUE = (ValueError, KeyError, IndexError, AttributeError, TypeError, OverflowError)


class _Loader(yaml.SafeLoader):
    """Plain values alone, as of PyYAML's safe loader, and each key once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Hashable] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue  # what is merged gives way to what is written out
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                where = key_node.start_mark.line + 1
                raise InputError(f"line {where}: '{_shortened(key)}' is there twice; keep one of them")
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        line = node.start_mark.line + 1
        try:
            value = super().construct_object(node, deep=deep)
        except InputError:
            raise
        except _NO_VALUE as error:
            kind = str(node.tag).rpartition(":")[2]
            what = f"'{_shortened(node.value)}' cannot be read as {kind}"
            raise InputError(f"line {line}: {what}; quote it if it is a word") from error
        if isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise InputError(
                f"line {line}: has half a character (\\ud800 to \\udfff); write the character itself"
            )
        # 1:1:1 counts in sixties and has no limit; what has thousands of digits cannot even be shown
        if isinstance(value, int) and value.bit_length() > _MAX_BITS:
            raise InputError(f"line {line}: a number larger than any setting takes; quote it if it is a word")
        return value


def read_mapping(content: bytes, name: str) -> dict[str, Any]:
    """The settings of a run.

    Args:
        content: of the file; UTF-8, or UTF-16 with a byte order mark.
        name: of the file, for messages.

    Raises:
        InputError: it is no YAML or no mapping, has a key twice, or is too large; the message says where.
    """
    document = read_value(_text(content, name), name)
    if document is None:
        raise InputError(f"{name}: is empty; a run is a mapping of settings, {_EXAMPLE}")
    if not isinstance(document, dict):
        kind = "a list" if isinstance(document, list) else "a single value"
        raise InputError(f"{name}: is {kind}; a run is a mapping of settings, {_EXAMPLE}")
    _check_keys(document, name)
    return document


def read_value(text: str, name: str) -> Any:
    """What one YAML document says, in plain values: dict, list, str, int, float, bool, None.

    Args:
        text: the document.
        name: where it comes from, for messages.

    Raises:
        InputError: it is no YAML, has a key twice, or stands for too many values; the message says where.
    """
    try:
        if len(text) > MAX_BYTES:
            raise InputError(f"has more than {MAX_BYTES} bytes, which no run has; see whether it is one")
        value = _construct(text)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{name}: not YAML ({_fault(error)})") from error
    except yaml.YAMLError as error:
        at = getattr(error, "position", 0)  # only the reader raises what has no mark
        what = f"a character that YAML does not take, line {text.count(chr(10), 0, at) + 1}"
        raise InputError(f"{name}: not YAML ({what})") from error
    except RecursionError as error:
        raise InputError(
            f"{name}: has values within values within values; settings are a few deep"
        ) from error
    return value


def _text(content: bytes, name: str) -> str:
    if len(content) > MAX_BYTES:
        raise InputError(f"{name}: has more than {MAX_BYTES} bytes, which no run has; see whether it is one")
    is_wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = content.decode("utf-16" if is_wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: is no text in UTF-8 (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise InputError(f"{name}: is no text; give a YAML file such as configs/minicity.yaml")
    return text


def _fault(error: yaml.MarkedYAMLError) -> str:
    """What PyYAML says, in one line and with the line it is about."""
    mark = error.problem_mark or error.context_mark
    where = f", line {mark.line + 1}" if mark is not None else ""
    what = _shortened(error.problem or error.context)
    if "'\\t'" in what:
        return f"a tab{where}; indent with spaces"
    if "mapping values are not allowed" in what:
        return (
            f"a colon where none can be{where}; there is a space after each, and each has a line of its own"
        )
    if "another document" in what:
        return f"a second document begins{where}; a run is one"
    if "constructor for the tag" in what:
        return f"a tag (!) that no setting has{where}"
    return f"{what}{where}"


def _construct(text: str) -> Any:
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _check_size(node)
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _check_size(node: yaml.Node) -> None:
    """Count what is there with every alias written out, before any of it is made."""
    todo, count = [node], 0
    while todo:
        at = todo.pop()
        count += 1
        if count > _MAX_VALUES:
            raise InputError(f"stands for more than {_MAX_VALUES:,} values; write aliases (*) out")
        if isinstance(at, yaml.MappingNode):
            todo += (part for pair in at.value for part in pair)
        elif isinstance(at, yaml.SequenceNode):
            todo += at.value


def _check_keys(document: dict[Any, Any], name: str) -> None:
    todo: list[Any] = [document]
    while todo:
        at = todo.pop()
        if isinstance(at, dict):
            for key in at:
                if not isinstance(key, str):
                    what = f"'{_shortened(key)}' is no name of a setting"
                    raise InputError(f"{name}: {what}; quote it if it is meant to be one")
            todo += at.values()
        elif isinstance(at, list):
            todo += at


def _shortened(value: object) -> str:
    text = printable(str(value))
    return text if len(text) <= 120 else f"{text[:120]}…"
