"""Matrix-Game-3.0 (distilled): keyboard and mouse, memory of earlier views, 57 and then 40 frames per clip."""
