"""How well two label maps agree: counts, boundaries, and the tables made of them."""
