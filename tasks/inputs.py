"""Files that a config names, looked for before anything is started. Imports nothing heavy."""

from __future__ import annotations

import errno
from pathlib import Path

from segspade_core.config import GeneratorImportConfig, PathSource, QualityConfig, RunConfig
from segspade_core.errors import InputError
from segspade_core.metrics.painting_names import ALEXNET, INCEPTION
from segspade_core.metrics.painting_weights import named_file

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
    quality_weights(config.score_quality)


def source_place(path: str | Path) -> Path:
    """The folder or zip file of a source.

    Raises:
        InputError: it is not there.
    """
    place = named_path(path)
    if not place.exists():
        raise InputError(f"{path}: there is no such file or folder; give the dataset's folder or zip file")
    return place


def named_path(path: str | Path) -> Path:
    """A path as a person writes it, with ~ for a home.

    Raises:
        InputError: nothing can be there: there is no such home, or the name is longer than names can be.
    """
    try:
        place = Path(path).expanduser()
        place.exists()
    except RuntimeError as error:
        raise InputError(f"{path}: there is no such home; write the folder out") from error
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        raise InputError(f"{str(path)[:60]}…: a name too long for any file; give another") from error
    return place


def segmenter_weights(weights: str) -> Path | None:
    """The file of weights that training starts from; None when they are named.

    Raises:
        InputError: it is not there.
    """
    if weights in NAMED_WEIGHTS:
        return None
    path = named_path(weights)
    if path.is_dir():
        raise InputError(f"{weights}: is a folder; give the file of weights in it, such as model.safetensors")
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
    path = named_path(weights)
    if path.is_dir():
        raise InputError(f"{weights}: is a folder; give the file of weights in it, such as latest_net_G.pth")
    if path.exists() and not path.is_file():
        raise InputError(f"{weights}: not an ordinary file; give a file of weights")
    if not path.is_file():
        raise InputError(
            f"{weights}: no such file; generator.weights is 'shipped:minicity' or a file. The published "
            "SPADE weights are not on the web any more: to train a generator of your own, say "
            "`generator: {kind: train}`"
        )
    return path


def quality_weights(config: QualityConfig) -> None:
    """See that the networks which the quality of painting is measured with are there, where files are named.

    Raises:
        InputError: one is not.
    """
    for setting, network in ((config.inception, INCEPTION), (config.lpips, ALEXNET)):
        named_path(setting)
        named_file(setting, network)


def vgg19_file(weights: str) -> Path | None:
    """The file of VGG-19 weights that a perceptual loss looks through; None when they are named.

    Raises:
        InputError: it is not there.
    """
    if weights in ("auto", *NAMED_WEIGHTS):
        return None
    path = named_path(weights)
    if not path.is_file():
        raise InputError(
            f"{weights}: no such file; generator.perceptual_weights is 'auto', 'imagenet', 'none' or a file"
        )
    return path
