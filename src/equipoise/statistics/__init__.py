"""Numbers → how sure we are of them."""
