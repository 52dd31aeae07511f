"""Small C files, built at first use, and the torch functions that call them or stand in for them."""
