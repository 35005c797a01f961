"""Parts of the Channels page."""
