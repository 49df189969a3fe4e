"""The commands that made the weights in `models/`."""
