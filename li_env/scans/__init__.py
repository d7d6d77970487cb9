"""Posed views of one place, from which an episode is grounded."""
