"""Arms that another program trains: its files are written, its command is run, and its answers are read back.

nnU-Net is the only one. It gets the cases that every arm gets, prepared as the protocol says, and chooses all else.
"""
