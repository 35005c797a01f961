"""What the Layers page says of depth beyond plain statistics; pure numpy."""
