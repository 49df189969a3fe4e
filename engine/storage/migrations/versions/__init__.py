"""One file a change, each named by its number."""
