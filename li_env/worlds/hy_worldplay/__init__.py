"""The HY-WorldPlay world: the published 8B action model, carried out as the planner asks."""
