"""Runtime: the engine that carries plans out, its noise, its clock and its reports."""
