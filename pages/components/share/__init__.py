"""Parts of the Share page."""
