"""Measures the engine beside its peers: see docs/performance.md."""
