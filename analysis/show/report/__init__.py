"""What leaves the dashboard: figures, tables, reports and normalisation vectors as files."""
