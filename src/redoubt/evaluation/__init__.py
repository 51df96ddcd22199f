"""Metrics, and robustness as per-example flags re-checked by the scorer."""
