"""Linear maps in closed form, and the skip that the network starts from."""
