"""Tables and figures of the Light Interaction paper for any world, behind ``li-env bench --paper``."""
