"""Label maps → photographs: the SPADE generator, what it is trained against, and its weights."""

from segspade_core.spade.generator import Generator
from segspade_core.spade.painting import synthesize
from segspade_core.spade.shipped import shipped_weights
from segspade_core.spade.train import GeneratorResult, train_generator
from segspade_core.spade.weights import import_generator, load_generator, pack_generator

__all__ = [
    "Generator",
    "GeneratorResult",
    "import_generator",
    "load_generator",
    "pack_generator",
    "shipped_weights",
    "synthesize",
    "train_generator",
]
