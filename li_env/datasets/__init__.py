"""Recorded datasets for imitation learning: a dataset is a function of its manifest.

`manifest` says what is collected. `collect` plays the episodes and commits each of them to the `journal`. `finish`
joins the journal into the formats `lerobot`, `minari` and `clips`. `verify`, `show` and `merge` work on finished
datasets.
"""
