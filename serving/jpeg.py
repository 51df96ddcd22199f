"""Whether a JPEG file holds all the pixels that its header announces; Pillow would make grey ones of the others.

Where the data of a scan end early, its decoder takes what follows for more of them. So some bytes are put there: of a
scan that is whole they are skipped, and the picture stays the same; else they become part of it.
"""

import io
import re
from collections.abc import Iterator

from PIL import Image

# No byte is 255, which would begin a marker. One code of a progressive file can say that all blocks that follow end
# here: as no code begins as another one does, not all of these begin with it.
FILLERS = [
    bytes([first, *((89 * place * place + 37 * place) % 251 for place in range(31))]) for first in b"\x1a\x5a\x9a\xda"
]
# Whatever of data is no escaped 255: a restart, of which there may be any number, or what ends them.
RESTART, MARKER = re.compile(rb"\xff+[\xd0-\xd7]"), re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
SCAN, END, INTERVAL = 0xDA, 0xD9, 0xDD
# Without a length after them.
BARE = {0x01, 0xD8, END}
# Frames by Huffman codes; in arithmetic coding missing data decode as zeros, so that a cut cannot be told.
FRAMES, PROGRESSIVE = {0xC0, 0xC1, 0xC2}, 0xC2


def is_whole(data: bytes, image: Image.Image) -> bool:
    """Whether no pixel is missing.

    Args:
        data: a JPEG file.
        image: made of it, read to its end.
    """
    segments = list(_segments(data))
    coded, frame = next(((kind, body) for kind, body, _ in segments if kind in FRAMES), (0, b""))
    if not frame:
        return True
    begun = {colour for kind, body, _ in segments if kind == SCAN for colour in _begun(body)}
    if begun < {*frame[6::3]}:
        return False
    pixels = image.tobytes()
    fillers = FILLERS if coded == PROGRESSIVE else FILLERS[:1]
    return all(_pixels(_filled(data, segments, each)) == pixels for each in fillers)


def scans(data: bytes) -> int:
    """How many scans a JPEG file's first picture has."""
    return sum(kind == SCAN for kind, *_ in _segments(data))


def _pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        return image.tobytes()


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Of the first picture the kind of each marker, what belongs to it, and where that ends; a scan's data do not."""
    place, kind = 0, 0
    while kind != END and (found := MARKER.search(data, place)) is not None:
        kind, place = data[found.end() - 1], found.end()
        if kind not in BARE:
            place += int.from_bytes(data[place : place + 2], "big")
        yield kind, data[found.end() + 2 : place], place


def _begun(scan: bytes) -> bytes:
    """The colours whose first coefficients a scan begins with: later ones of a progressive file refine them."""
    first, _, refines = scan[-3:]
    return b"" if first or refines >> 4 else scan[1:-3:2]


def _filled(data: bytes, segments: list[tuple[int, bytes, int]], filler: bytes) -> bytes:
    """The first picture with a filler after the data of each scan, and before each restart."""
    pieces, copied, restarts = list[bytes](), 0, False
    for kind, body, begin in segments:
        if kind == INTERVAL:
            restarts = any(body)
        if kind == SCAN:
            found = MARKER.search(data, begin)
            end = found.start() if found else len(data)
            put, count = RESTART.subn(filler.replace(b"\\", rb"\\") + rb"\g<0>", data[begin:end])
            pieces += [data[copied:begin], put, filler]
            if restarts:
                # Of the restart that would come next, in case that it is missing.
                pieces += [bytes([0xFF, 0xD0 + count % 8]), filler]
            copied = end
    return b"".join([*pieces, data[copied : max(copied, segments[-1][2])]])
