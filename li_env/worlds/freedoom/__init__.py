"""The freedoom world: a small chunked autoregressive video model trained on posed frames of random Doom maps."""
