"""Runtime: the engine that runs plans, its noise, its clock and its reports."""
