"""Evaluation: camera paths that every preset follows, presets side by side, and freedoom against the game."""
