"""Image files to normalised batches of pixels."""
