"""Untrusted files → arrays: NIfTI, DICOM, pictures and array files, checked before a byte is allocated."""
