"""One class for each engine: loads a model and runs it. Under any Python from 3.7 with NumPy and the engine."""
