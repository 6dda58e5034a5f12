"""Growth over the resolution: the paper's model, rival laws, and how far each can be trusted."""
