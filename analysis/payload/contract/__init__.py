"""The contract: every key of a payload with its type, shape, unit and meaning.

The classes are static types, and at run time the one table that checking (`schema`, `run_schema`,
`extras_schema`, `sidecar`), reading (`extras`) and docs/payload.md follow.
"""
