"""Whether a GIF file holds one whole picture: it has no checksum, and decoders fill what is missing in silence."""

from equipoise.cohorts.formats.refusal import RefusedFile

_AGAIN = "copy the file again from its source"
_HEADER = 13
_TRAILER, _EXTENSION, _PICTURE = 0x3B, 0x21, 0x2C
_LONGEST_CODE = 12


def check_gif(raw: bytes) -> None:
    """Refuse a GIF file that ends early, has no or several pictures, one that does not fill it, or too few pixels."""
    if len(raw) < _HEADER:
        raise RefusedFile("", "it ends early", _AGAIN)
    place = _HEADER + _table_bytes(raw[10])
    pictures = 0
    try:
        while raw[place] != _TRAILER:
            kind = raw[place]
            if kind == _EXTENSION:
                _, place = _blocks(raw, place + 2)
            elif kind == _PICTURE:
                pictures += 1
                place = _picture(raw, place)
            else:
                raise RefusedFile("", "its structure is broken", _AGAIN)
    except IndexError as error:
        raise RefusedFile("", "it ends early", _AGAIN) from error
    if pictures != 1:
        raise RefusedFile("", f"it holds {pictures} pictures", "save every picture as a file of its own")


def _picture(raw: bytes, place: int) -> int:
    """Check the picture at a place and return the place behind it."""
    left, top, width, height = (int.from_bytes(raw[place + k : place + k + 2], "little") for k in (1, 3, 5, 7))
    screen = tuple(int.from_bytes(raw[k : k + 2], "little") for k in (6, 8))
    if (left, top) != (0, 0) or (width, height) != screen or not width * height:
        raise RefusedFile("", "its picture does not fill it", "save it as PNG")
    start = place + 10 + _table_bytes(raw[place + 9])
    packed, end = _blocks(raw, start + 1)
    count = _pixels(packed, raw[start], width * height)
    if count != width * height:
        raise RefusedFile("", f"it holds {count} of {width * height} pixels", _AGAIN)
    return end


def _table_bytes(flags: int) -> int:
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(raw: bytes, place: int) -> tuple[bytes, int]:
    """Return the bytes of a chain of blocks and the place behind it."""
    pieces = []
    while size := raw[place]:
        if place + 1 + size >= len(raw):
            raise RefusedFile("", "it ends early", _AGAIN)
        pieces.append(raw[place + 1 : place + 1 + size])
        place += 1 + size
    return b"".join(pieces), place + 1


def _pixels(packed: bytes, bits: int, most: int) -> int:
    """Count the pixels of LZW codes, by the lengths of their strings; a code that cannot be there is refused."""
    if not 1 <= bits <= 8:
        raise RefusedFile("", "its structure is broken", _AGAIN)
    clear, end = 1 << bits, (1 << bits) + 1
    lengths: list[int] = []
    width, previous, count, buffer, held = bits + 1, 0, 0, 0, 0
    for byte in packed:
        buffer |= byte << held
        held += 8
        while held >= width:
            code, buffer, held = buffer & ((1 << width) - 1), buffer >> width, held - width
            if code == end:
                return count
            if code == clear:
                lengths, width, previous = [1] * (end + 1), bits + 1, 0
                continue
            if not lengths or code > len(lengths) or (code == len(lengths) and not previous):
                raise RefusedFile("", "its pixels are corrupt", _AGAIN)
            length = lengths[code] if code < len(lengths) else previous + 1
            if previous and len(lengths) < 1 << _LONGEST_CODE:
                lengths.append(previous + 1)
            if len(lengths) == 1 << width and width < _LONGEST_CODE:
                width += 1
            count, previous = count + length, length
            if count > most:
                raise RefusedFile("", "it holds more pixels than it states", _AGAIN)
    raise RefusedFile("", "its pixels end early", _AGAIN)
