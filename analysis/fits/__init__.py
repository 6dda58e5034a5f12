"""Growth over the resolution: the study's model, rival laws, and how far each can be trusted."""
