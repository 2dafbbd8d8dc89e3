"""Training with PyTorch (extra `[train]`): the only part of esnsim that imports torch.

Its modules are imported one by one, so that `catalog` can be listed without torch.
"""
