"""Measurement of a world against the game, without and with a scan, behind ``li-env evaluate world``."""
