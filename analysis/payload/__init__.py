"""The payload: the one file that collecting writes and everything else reads."""
