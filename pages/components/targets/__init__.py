"""Parts of the Targets page."""
