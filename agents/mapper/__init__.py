"""Mapper: a free-space network, an occupancy grid, a planner."""
