"""Attacks under one contract: inside the ball, inside the bounds, seeded."""
