"""Instructions executed for an inference on ARM, counted under emulation."""
