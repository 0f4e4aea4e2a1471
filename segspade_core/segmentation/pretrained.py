"""ImageNet weights of every encoder, under the entry names that the encoder has.

'imagenet' means the weights known for an encoder, wherever they come from: torchvision for its ResNets, the
installed package for EfficientNet-Lite0, else the Hugging Face hub, as segmentation-models-pytorch and timm
publish them there. So there is one word for all of them, and no combination of words that means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segspade_core.config.encoders import EFFICIENTNET_LITE0, TIMM
from segspade_core.errors import InputError, WeightsError
from segspade_core.segmentation.encoders import TORCHVISION_RESNETS, building, library_encoder
from segspade_core.segmentation.imagenet import OR_ANOTHER, REMEDY, imagenet_weights
from segspade_core.training.download import download
from segspade_core.training.efficientnet_lite import FILE, efficientnet_lite0_file, timm_names
from segspade_core.training.weights_file import fit

_HUB = "https://huggingface.co/{repo}/resolve/{revision}/{name}"


def encoder_weights(encoder: str) -> tuple[bytes, str]:
    """The file of an encoder's ImageNet weights, and where it lies.

    Raises:
        WeightsError: it is not there and cannot be downloaded or installed, or nobody publishes any; the
            message says which file to put where.
    """
    if encoder == EFFICIENTNET_LITE0:
        return efficientnet_lite0_file(REMEDY), FILE
    if encoder in TORCHVISION_RESNETS:
        return imagenet_weights(encoder)
    return _hub_weights(encoder)


def entries_for(
    encoder: str, network: nn.Module, entries: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Entries as weights of an encoder are published → as `network` has them, without a classifier.

    What already has the network's names is left as it is.

    Args:
        encoder: its name.
        network: it, as a segmenter holds it.

    Raises:
        WeightsError: the entries are those of another network.
    """
    if entries.keys() == network.state_dict().keys():
        return dict(entries)
    if encoder == EFFICIENTNET_LITE0:
        renamed = {f"model.{name}": entry for name, entry in timm_names(entries).items()}
        return renamed or dict(entries)
    if encoder in TORCHVISION_RESNETS:
        return {name: entry for name, entry in entries.items() if not name.startswith("fc.")}
    return _read_by_library(encoder, entries, source)


def _hub_weights(encoder: str) -> tuple[bytes, str]:
    """From the hub's own cache, else from torch hub's, where a download puts it."""
    from huggingface_hub import try_to_load_from_cache  # here: it comes with the libraries

    repo, revision, name = _published(encoder)
    cached = try_to_load_from_cache(repo, name, revision=revision)
    if isinstance(cached, str):
        return Path(cached).read_bytes(), cached
    path = Path(torch.hub.get_dir()) / "checkpoints" / f"{repo.replace('/', '--')}.safetensors"
    if not path.is_file():
        url = _HUB.format(repo=repo, revision=revision or "main", name=name)
        try:
            download(url, path)
        except OSError as error:  # URLError and timeouts are OSErrors
            raise WeightsError(
                f"imagenet weights of {encoder}: {url} cannot be downloaded ({error}). Ways out: fetch "
                f"that file where there is a network and put it at {path}; or {OR_ANOTHER}"
            ) from error
    return path.read_bytes(), str(path)


def _published(encoder: str) -> tuple[str, str | None, str]:
    """Repository on the hub, revision, and name of the file."""
    if encoder.startswith(TIMM):
        from timm.models import get_pretrained_cfg

        known = get_pretrained_cfg(encoder.removeprefix(TIMM))
        if known is not None and known.hf_hub_id and not known.custom_load:
            return known.hf_hub_id, None, known.hf_hub_filename or "model.safetensors"
    else:
        from segmentation_models_pytorch.encoders import encoders

        settings: dict[str, Any] = encoders[encoder]["pretrained_settings"]
        if "imagenet" in settings:
            return settings["imagenet"]["repo_id"], settings["imagenet"]["revision"], "model.safetensors"
    raise WeightsError(f"imagenet weights of {encoder}: none are published; {OR_ANOTHER}")


def _read_by_library(encoder: str, entries: Mapping[str, Tensor], source: str) -> dict[str, Tensor]:
    """Let the library, which knows what it renamed since and what it leaves out, load a second encoder."""
    what = f"a file of weights of {encoder}"
    fit(entries, entries, source, what, "")  # finite, and no variance below 0
    # a fork: random numbers drawn for weights that are replaced would move those of the training
    with torch.random.fork_rng(devices=[]):
        try:
            with building(encoder, "these weights"):
                if encoder.startswith(TIMM):
                    filled = _read_by_timm(encoder, entries)
                else:
                    filled = library_encoder(encoder)
                    filled.load_state_dict(dict(entries))
        except InputError as error:
            # torch says what did not fit on the lines after its first
            cause = str(error.__cause__).split("\n")[1:2] or [str(error.__cause__)]
            raise WeightsError(f"{source}: is this {what}? ({' '.join(cause[0].split())[:300]})") from error
    return dict(filled.state_dict())


def _read_by_timm(encoder: str, entries: Mapping[str, Tensor]) -> Any:
    import timm

    # as a whole first: timm passes over what is missing where it leaves out the classifier
    timm.create_model(
        encoder.removeprefix(TIMM), pretrained=True, pretrained_cfg_overlay={"state_dict": dict(entries)}
    )
    return library_encoder(encoder, weights=True, pretrained_cfg_overlay={"state_dict": dict(entries)})
