"""The engine: queue, admission, memory budget, streams, and the wrappers around it."""
