"""Tensor operations: one folder per operation, with a readable reference, a Triton version and the choice between them."""
