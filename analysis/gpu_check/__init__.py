"""`make gpu-check`: is everything measured right on this machine? The first minutes on a GPU.

It runs the real commands on three methods with both collectors, two runs at once, and, in a
checkout, the bench of the ranges and the tests marked `gpu`. It checks what they wrote and ends in
one page of text. Whatever measures is started as a process: nothing here imports `profiling` or
torch. The checks are functions of files, so that they are tested without a GPU.
"""
