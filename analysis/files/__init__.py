"""Disk, locks, processes and files from strangers. Knows no payload."""
