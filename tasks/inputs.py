"""Files that a config names, looked for before anything is started. Imports nothing heavy."""

from __future__ import annotations

from pathlib import Path

from segspade_core.config import GeneratorImportConfig, PathSource, RunConfig
from segspade_core.errors import InputError

NAMED_WEIGHTS = ("imagenet", "none")


def check_files(config: RunConfig) -> None:
    """See that every file that a run names is there.

    Raises:
        InputError: one is not; says which, and what to do.
    """
    if isinstance(config.source, PathSource):
        source_place(config.source.path)
    segmenter_weights(config.segmenter.weights)
    if isinstance(config.generator, GeneratorImportConfig):
        generator_weights(config.generator.weights)


def source_place(path: str | Path) -> Path:
    """The folder or zip file of a source.

    Raises:
        InputError: it is not there.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(f"{path}: there is no such file or folder; give the dataset's folder or zip file")
    return place


def segmenter_weights(weights: str) -> Path | None:
    """The file of weights that training starts from; None when they are named.

    Raises:
        InputError: it is not there.
    """
    if weights in NAMED_WEIGHTS:
        return None
    path = Path(weights).expanduser()
    if not path.is_file():
        raise InputError(
            f"{weights}: no such file; segmenter.weights is 'imagenet', 'none' or a file of weights"
        )
    return path


def generator_weights(weights: str) -> Path | None:
    """The file of weights to import; None when they come with the project.

    Raises:
        InputError: it is not there.
    """
    if weights.startswith("shipped:"):
        return None
    path = Path(weights).expanduser()
    if not path.is_file():
        raise InputError(
            f"{weights}: no such file; generator.weights is 'shipped:minicity' or a file. The published "
            "SPADE weights are not on the web any more: to train a generator of your own, say "
            "`generator: {kind: train}`"
        )
    return path
