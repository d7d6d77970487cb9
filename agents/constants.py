"""Numbers that several agents share."""

ARRIVAL = 0.8
"""Share of the success radius within which an agent stops."""

BUMP = 0.3
"""Share of a step's motion that walls must have refused for the step to count as a bump."""
