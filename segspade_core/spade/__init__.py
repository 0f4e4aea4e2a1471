"""Label maps → photographs: the SPADE generator, what it is trained against, and its weights."""
