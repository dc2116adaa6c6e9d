"""Toolwise: post-train language-model agents that think when they know and act when they don't."""

__version__ = "0.1.0"
