"""Where in the images a channel is large."""
