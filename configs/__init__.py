"""Settings that ship with the package, as YAML: acceleration presets, worlds, training runs. Data, no code."""
