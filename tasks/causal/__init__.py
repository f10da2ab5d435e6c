"""Who drives whom: convergent cross mapping over all pairs."""
