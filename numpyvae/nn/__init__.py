"""What a network is made of: layers, builders of networks, and all the weights in one vector."""
