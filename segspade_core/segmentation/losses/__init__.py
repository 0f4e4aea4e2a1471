"""What a segmenter's mistakes cost: losses on logits in which void never counts, and weighted sums of them.

Each takes logits (B, C, H, W) and targets (B, H, W) uint8 with 255 for void, works in float32 also under
autocast, and is 0 with gradient 0 where nothing counts.
"""

from segspade_core.segmentation.losses.build import SegmentationLoss, Term, build_loss
from segspade_core.segmentation.losses.cross_entropy import weighted_cross_entropy
from segspade_core.segmentation.losses.dice import dice_loss
from segspade_core.segmentation.losses.focal import focal_loss
from segspade_core.segmentation.losses.lovasz import lovasz_softmax_loss
from segspade_core.segmentation.losses.ohem import ohem_cross_entropy

__all__ = [
    "SegmentationLoss",
    "Term",
    "build_loss",
    "dice_loss",
    "focal_loss",
    "lovasz_softmax_loss",
    "ohem_cross_entropy",
    "weighted_cross_entropy",
]
