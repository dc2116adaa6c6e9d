"""Reference vectors: measured values of published programs, and what compares ours with them."""
