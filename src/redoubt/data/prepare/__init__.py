"""What is fitted on training examples and served with the model: missing values, precision, scales."""
