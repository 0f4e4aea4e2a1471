"""Label patches: gamma and beta at a pixel depend on the 5x5 patch of labels around it, and few differ."""
