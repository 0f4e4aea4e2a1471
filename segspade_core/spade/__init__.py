"""Label maps → photographs: the SPADE generator, what it is trained against, and its weights."""

from segspade_core.shipped import shipped_weights
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.importing import import_generator
from segspade_core.spade.painting import Painter, synthesize
from segspade_core.spade.published import load_published
from segspade_core.spade.steering import check_steering, painting_codes
from segspade_core.spade.style import StyleEncoder
from segspade_core.spade.train import GeneratorResult, train_generator
from segspade_core.spade.weights import load_generator, load_style_encoder, pack_generator

__all__ = [
    "GeneratorResult",
    "Painter",
    "SpadeGenerator",
    "StyleEncoder",
    "check_steering",
    "import_generator",
    "load_generator",
    "load_published",
    "load_style_encoder",
    "pack_generator",
    "painting_codes",
    "shipped_weights",
    "synthesize",
    "train_generator",
]
