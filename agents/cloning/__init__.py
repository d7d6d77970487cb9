"""Behaviour cloning from a recorded dataset."""
