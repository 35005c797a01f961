"""What the vectors of single images are worth: linear probes, similarity, images that stand out."""
