"""The models for pictures one at a time: those in use in a workspace, or the ones that ship."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from segspade_core.config import RuntimeConfig
from segspade_core.shipped import shipped_weights
from storage.aliases import Aliases
from storage.errors import DamagedArtifact
from storage.refs import ArtifactRef
from storage.store import Store
from tasks.quick_imports import no_garbage

if TYPE_CHECKING:
    from segspade_core.segmentation import Segmenter
    from segspade_core.spade import SpadeGenerator, StyleEncoder
    from segspade_core.there_and_back import PictureModels

ALIAS = "production"
# name of what ships, by the kind of artifact that it stands for
SHIPPED = {"segmenter": "minicity_segmenter", "generator": "minicity"}
_PIXELS = 256 * 512  # of what the published generator learned from


@dataclass(frozen=True)
class ChosenModels:
    """Which models are meant: artifacts, or None for what ships."""

    segmenter: ArtifactRef | None
    generator: ArtifactRef | None

    def __str__(self) -> str:
        return ", ".join(
            f"shipped {kind} (learned from the drawn Minicity)" if ref is None else str(ref)
            for kind, ref in (("segmenter", self.segmenter), ("generator", self.generator))
        )

    @property
    def shipped(self) -> list[str]:
        """Kinds of which the workspace has none in use."""
        return [
            kind
            for kind, ref in (("segmenter", self.segmenter), ("generator", self.generator))
            if ref is None
        ]


def choose_models(workspace: Path, segmenter: str | None, generator: str | None) -> ChosenModels:
    """What is named, else what `production` names, else what ships.

    Args:
        workspace: it may be missing, as long as nothing in it is named.
        segmenter, generator: key or alias; 'shipped' for what ships.

    Raises:
        MissingArtifact: nothing is called so.
    """
    return ChosenModels(
        _chosen(workspace, "segmenter", segmenter), _chosen(workspace, "generator", generator)
    )


def _chosen(workspace: Path, kind: str, name: str | None) -> ArtifactRef | None:
    if name == "shipped":
        return None
    if name is not None:
        return Store(workspace).resolve(name, kinds=(kind,))
    if not workspace.is_dir() or Aliases(workspace).get(kind, ALIAS) is None:
        return None
    # one that was deleted is told, and not replaced by what ships
    return Store(workspace).resolve(f"{kind}/{ALIAS}", kinds=(kind,))


def load_models(
    workspace: Path, chosen: ChosenModels, runtime: RuntimeConfig, keep_tables: bool = False
) -> PictureModels:
    """The models, on the device that `runtime` asks for.

    Args:
        keep_tables: as `Painter` has it, for who paints one map again and again.

    Raises:
        DamagedArtifact: a file is missing or altered.
        WeightsError: the models that ship are not there.
    """
    # the libraries behind the models take most of the time that the first picture takes
    with no_garbage():
        from segspade_core.spade import Painter
        from segspade_core.there_and_back import PictureModels
        from tasks.models import device_of

        device = device_of(runtime)
        generator, style_encoder = load_generator_of(workspace, chosen.generator)
        segmenter = load_segmenter_of(workspace, chosen.segmenter).to(device)
    return PictureModels(
        segmenter=segmenter,
        device=device,
        generator=generator,
        style_encoder=style_encoder,
        painter=Painter(generator, device, keep_tables=keep_tables),
        pixels=_pixels_known(workspace, chosen),
    )


def load_segmenter_of(workspace: Path, ref: ArtifactRef | None) -> Segmenter:
    """The segmenter of an artifact, or the one that ships, on the CPU. Raises as `load_models`."""
    from segspade_core.segmentation import load_segmenter

    return load_segmenter(*_weights(workspace, "segmenter", ref))


def load_generator_of(workspace: Path, ref: ArtifactRef | None) -> tuple[SpadeGenerator, StyleEncoder | None]:
    """The same of a generator, and the encoder of styles beside it, where there is one."""
    from segspade_core.spade import load_generator, load_style_encoder

    weights = _weights(workspace, "generator", ref)
    return load_generator(*weights), load_style_encoder(*weights)


def _weights(workspace: Path, kind: str, ref: ArtifactRef | None) -> tuple[bytes, str]:
    from tasks.models import weights_of

    if ref is not None:
        return weights_of(workspace, ref)
    return shipped_weights(SHIPPED[kind])[0], f"shipped:{SHIPPED[kind]}"


def _pixels_known(workspace: Path, chosen: ChosenModels) -> int:
    """Of the photographs that the segmenter learned from; of the generator's where that is not told."""
    for kind, ref in (("segmenter", chosen.segmenter), ("generator", chosen.generator)):
        size = trained_size(workspace, kind, ref)
        if size is not None:
            return size[0] * size[1]
    return _PIXELS


def trained_size(workspace: Path, kind: str, ref: ArtifactRef | None) -> tuple[int, int] | None:
    """(H, W) of what a model learned from; None where its dataset is not here, or there was none.

    Args:
        ref: None is the model that ships.
    """
    if ref is None:
        made_from = shipped_weights(SHIPPED[kind])[1].get("made_from", [])
        size = next((each["config"]["size"] for each in made_from if each["kind"] == "dataset"), None)
    else:
        store = Store(workspace)
        try:
            dataset = store.manifest(ref).input_refs.get("dataset")
            known = dataset is not None and store.exists(dataset)
            size = store.manifest(dataset).config.get("size") if known and dataset is not None else None
        except DamagedArtifact:
            size = None
    found = re.fullmatch(r"(\d+)x(\d+)", str(size))
    return (int(found[1]), int(found[2])) if found else None
