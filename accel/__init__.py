"""Training-free acceleration of interactive video world models: camera geometry, planning, engine, report."""
