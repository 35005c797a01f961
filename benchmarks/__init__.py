"""What is measured, and how: one command per table, ratios from one run, results as JSON."""
