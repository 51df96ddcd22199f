"""What can be attacked: one contract, one file per kind of model."""
