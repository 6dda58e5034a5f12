"""`make gpu-check`: is everything measured right on this machine? The first minutes on a GPU.

Runs the real commands on three methods with both collectors, two runs at once, the bench of the
ranges, and the tests marked `gpu`; checks what they wrote; ends in one page of text. The checks are
functions of files, so that they are tested without a GPU.
"""
