"""The data sets by name, and the training data made from them."""
