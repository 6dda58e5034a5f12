"""Everything that runs next to the model: methods, annotation, runner, collectors, memory.

Nothing here imports ``analysis``; files are the only bridge between the two. Importing this
package, or any module of it that the workflow uses for planning, does not import torch.
"""
