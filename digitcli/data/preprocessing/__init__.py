"""From a grayscale image to the 28x28 input of the network."""
