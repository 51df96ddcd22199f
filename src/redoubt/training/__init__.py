"""Resumable fitting, the cross-validated sweep, adversarial training."""
