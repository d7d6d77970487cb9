"""The HY-WorldPlay world: the published 8B action model, run as the planner decides."""
