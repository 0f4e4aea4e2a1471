"""The segmenter: a network from photographs to label maps, its training and its predictions."""

from segspade_core.segmentation.model import Segmenter
from segspade_core.segmentation.prediction import predict
from segspade_core.segmentation.train import SegmenterResult, train_segmenter
from segspade_core.segmentation.weights import load_segmenter, pack_segmenter

__all__ = [
    "Segmenter",
    "SegmenterResult",
    "load_segmenter",
    "pack_segmenter",
    "predict",
    "train_segmenter",
]
