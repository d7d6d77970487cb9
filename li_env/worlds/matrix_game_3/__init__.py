"""The Matrix-Game-3.0 world: the published 6B action model, carried out as the planner asks."""
