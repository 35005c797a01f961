"""From a training config to a payload: runs the backbone over the images (torch)."""
