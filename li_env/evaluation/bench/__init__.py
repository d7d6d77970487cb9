"""Benchmark behind ``li-env bench``: worlds x presets x trajectories, measured side by side in one run."""
