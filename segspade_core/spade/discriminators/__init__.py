"""What judges paintings while a generator is trained: three discriminators, and what they are shown."""

from segspade_core.spade.discriminators.build import build_discriminator
from segspade_core.spade.discriminators.diff_augment import augment_scene
from segspade_core.spade.discriminators.scene import Judgement, Scene

__all__ = ["Judgement", "Scene", "augment_scene", "build_discriminator"]
