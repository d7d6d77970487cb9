"""Mapper: a network that sees free space, an occupancy grid, a planner."""
