"""Two or more versions side by side: is a difference more than noise, and where is it?

`image_groups` reads the noise floor that a payload carries, `noise` and `noise_table` test against
it, `findings` says it in sentences; `command` is `python -m analysis compare`.
"""
