"""What the dashboard costs at the size of ViT-7B: ``python -m benchmarks.pages``."""
