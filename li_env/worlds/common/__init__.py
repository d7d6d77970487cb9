"""Parts that several worlds share: transformers, codecs, checkpoints, the game."""
