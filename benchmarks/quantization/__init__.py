"""Accuracy and size of quantised models: see ``tables``."""
