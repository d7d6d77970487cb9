"""Camera geometry: poses and motions, and what a view shows."""
