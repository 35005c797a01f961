"""Makes the embedded default of this repository: images, a small backbone, adapters.

Nothing in the product imports this package: `python -m demo` writes ordinary files below `data/`
and `weights/`, and everything else reads them the way it reads a user's own.
"""
