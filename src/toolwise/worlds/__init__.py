"""Worlds in which the knowledge boundary is known by construction."""
