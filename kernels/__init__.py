"""Tensor operations: one folder each, with a readable reference, a Triton version and the choice between them."""
