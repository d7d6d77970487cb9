"""Retrieval: which old latents come back into the context."""
