"""What probabilities and labels say of models, and how surely. Needs no framework."""
