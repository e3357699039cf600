"""The best model under a time: input size, width, depth and precision, chosen together (docs/latency.md)."""
