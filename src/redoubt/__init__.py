"""Redoubt: from data to a served model whose resistance to attack was measured, not assumed."""
