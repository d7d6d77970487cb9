"""Tensor operations: one folder each, with a readable reference, a Triton version and the choice between them.

Shape letters: B batch, H heads, S tokens, D width of a head, F frames, C channels; ``Sq`` and ``Sk`` are the tokens of
queries and of keys.
"""
