"""From numbers to figures, reports and files (plotly)."""
