"""Certificates: what no attack within a radius can change."""
