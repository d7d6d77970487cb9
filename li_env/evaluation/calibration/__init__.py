"""Measurement of the numbers that ``li-env calibrate`` stores: see `li_env.worlds.calibration`."""
