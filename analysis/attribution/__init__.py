"""Which GPU work belongs to which range: pure functions on arrays.

The rule is that of NVIDIA Nsight Systems: an operation belongs to every range of the launching
thread that encloses the whole API call that launched it, ends included.
"""
