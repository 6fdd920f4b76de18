"""digitcli: train, measure, use and explain a handwritten-digit classifier."""

__version__ = "0.1.0"
