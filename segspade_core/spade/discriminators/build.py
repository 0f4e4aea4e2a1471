"""The choice among the discriminators."""

from __future__ import annotations

from torch import nn

from segspade_core.config import DiscriminatorArchitecture, PatchArchitecture, UNetArchitecture
from segspade_core.spade.discriminators.encoder import EncoderSegmenter
from segspade_core.spade.discriminators.multi_scale import MultiScaleDiscriminator
from segspade_core.spade.discriminators.segmenting import SegmentingDiscriminator
from segspade_core.spade.discriminators.unet import UNet


def build_discriminator(
    architecture: DiscriminatorArchitecture,
    num_labels: int,
    semantic_channels: int,
    *,
    labelmix: bool = True,
) -> nn.Module:
    """What `architecture` asks for: a module that takes a Scene and returns a Judgement.

    Args:
        num_labels: one-hot label channels, which discriminators that label pixels tell apart.
        semantic_channels: channels of `Scene.semantics`, which the patch discriminator looks at.
        labelmix: False leaves out that term, and the look at mixed pictures that it costs.

    Raises:
        WeightsError: a pre-trained encoder is asked for whose weights are not there.
    """
    if isinstance(architecture, PatchArchitecture):
        return MultiScaleDiscriminator(architecture, semantic_channels)
    if isinstance(architecture, UNetArchitecture):
        return SegmentingDiscriminator(UNet(architecture, num_labels + 1), num_labels, labelmix=labelmix)
    network = EncoderSegmenter(architecture, num_labels + 1)
    return SegmentingDiscriminator(network, num_labels, labelmix=labelmix)
