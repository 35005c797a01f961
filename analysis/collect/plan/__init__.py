"""What a run will do, from its config and flags, before torch is imported."""
