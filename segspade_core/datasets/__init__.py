"""File layouts → samples: Cityscapes, CamVid, and Minicity, the drawn city with exact labels."""
