"""How the model is sampled."""
