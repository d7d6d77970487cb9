"""How close the freedoom world comes to the real game: the report behind ``li-env evaluate world``."""
