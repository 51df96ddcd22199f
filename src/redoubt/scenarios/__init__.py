"""Procedures with a result of their own: patches, transfer, substitutes, reprogramming, landscapes."""
