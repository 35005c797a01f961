"""Parts of the Similarity page."""
