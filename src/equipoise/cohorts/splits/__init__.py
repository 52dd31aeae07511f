"""Train, validation and test parts by patient, and the search for leaks between them."""
