"""The segmenter: a network from photographs to label maps, its training and its predictions."""
