"""Fidelity report: the freedoom world against the real game, behind ``li-env evaluate world``."""
