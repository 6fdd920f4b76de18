"""Image files: finding, decoding within limits, converting to grayscale, in parallel."""
