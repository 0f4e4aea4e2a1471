"""The exact fast path: what a trained generator paints, several times as fast."""

from segspade_core.spade.fast.generator import FastGenerator

__all__ = ["FastGenerator"]
