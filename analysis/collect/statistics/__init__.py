"""Channel statistics of block outputs: exact, mergeable, measured while the forward runs.

- `moments` - `ChannelMoments`: count, mean, m2, minimum and maximum per channel, and their merge.
- `state` - `CollectorState`: the accumulators of all layers as a few stacked tensors.
- `reduction` - one block output to the moments of its layer in plain torch, on any device.
- `launch`, `kernels` - the same in Triton, reading the block output once; for GPUs that have it.
- `batch` - `Batch`: what a batch has contributed so far, and is folded only when complete.
- `collector` - `StatisticsCollector`: the protocol that the forward loop speaks.
- `view`, `summary`, `extras` - accumulators to the payload's ``layers`` and ``extras``.
- `norm` - `NormParameters`: what `global_ln` needs of the output LayerNorm.
"""
