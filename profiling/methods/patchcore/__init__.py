"""PatchCore (Roth et al., CVPR 2022): distances to a memory bank of normal patches."""
