"""What is trained: the VAE, its three distributions, and the plain autoencoder."""
