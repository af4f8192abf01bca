"""Real programs on loopback, for the demo and the end-to-end tests: processes, keys, links."""
