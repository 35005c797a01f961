"""Interventions: fix channels of the residual stream and measure what later outputs change."""
