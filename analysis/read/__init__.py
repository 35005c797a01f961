"""From the arrays of payloads to numbers and tables (numpy, pandas)."""
