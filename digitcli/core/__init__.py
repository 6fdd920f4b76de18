"""The network, the loops that train and measure it, and the arithmetic of softmax."""
