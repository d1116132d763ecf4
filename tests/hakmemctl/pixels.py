# SPDX-License-Identifier: MIT
# pixels.py PICTURE.svg SCREEN.png: compares what a browser drew with the elements of the picture.
# In the middle of each rectangle that no other one covers, the screen has the colour of its fill.
# Where there is text, there is ink.
import re
import struct
import sys
import xml.dom.minidom
import zlib


def decode(path):
    """Returns width, height and a function from x, y to (r, g, b) of a PNG of 8 bits a channel."""
    data = open(path, 'rb').read()
    assert data[:8] == b'\x89PNG\r\n\x1a\n', 'no PNG'
    at, packed = 8, b''
    while at < len(data):
        length, kind = struct.unpack('>I4s', data[at:at + 8])
        if kind == b'IHDR':
            width, height, depth, colour, _, _, interlace = struct.unpack(
                '>IIBBBBB', data[at + 8:at + 21])
        elif kind == b'IDAT':
            packed += data[at + 8:at + 8 + length]
        at += length + 12
    assert depth == 8 and colour in (2, 6) and not interlace, (depth, colour, interlace)
    n = 3 if colour == 2 else 4
    raw, rows, before = zlib.decompress(packed), [], bytes(width * n)
    for y in range(height):
        start = y * (width * n + 1)
        kind, line = raw[start], bytearray(raw[start + 1:start + 1 + width * n])
        for i in range(len(line)):
            a = line[i - n] if i >= n else 0
            b, c = before[i], before[i - n] if i >= n else 0
            p = a + b - c
            near = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
            line[i] = line[i] + (0, a, b, (a + b) // 2, near)[kind] & 255
        rows.append(line)
        before = line
    return width, height, lambda x, y: tuple(rows[y][x * n:x * n + 3])


svg = xml.dom.minidom.parse(sys.argv[1]).documentElement
width, height, pixel = decode(sys.argv[2])
boxes = []
for r in svg.getElementsByTagName('rect'):
    x, y, w, h = (r.getAttribute(k) or '0' for k in ('x', 'y', 'width', 'height'))
    fill = r.getAttribute('fill')
    if '%' in w or fill == 'none':
        continue
    assert re.fullmatch('#[0-9a-f]{6}', fill), fill
    boxes.append((float(x), float(y), float(w), float(h), fill, r.getAttribute('fill-opacity')))

checked = wrong = 0
colours = set()
for i, (x, y, w, h, fill, opacity) in enumerate(boxes):
    at = int(x + w / 2), int(y + h / 2)
    if opacity or min(w, h) < 2 or at[0] >= width or at[1] >= height:
        continue
    # the boxes that are drawn near this one come directly after it
    if any(bx <= at[0] + 1 and at[0] <= bx + bw and by <= at[1] + 1 and at[1] <= by + bh
           for bx, by, bw, bh, _, _ in boxes[i + 1:i + 200]):
        continue
    want = tuple(int(fill[k:k + 2], 16) for k in (1, 3, 5))
    got = pixel(*at)
    checked += 1
    colours.add(fill)
    if max(abs(a - b) for a, b in zip(want, got)) > 2:
        wrong += 1
        if wrong < 10:
            print('at %d,%d: %r, not %r' % (at + (got, want)))
texts = blank = 0
for t in svg.getElementsByTagName('text'):
    x, y = (int(float(t.getAttribute(k))) for k in ('x', 'y'))
    texts += 1
    ink = sum(sum(pixel(i, j)) < 384 for i in range(x, min(x + 40, width))
              for j in range(max(y - 12, 0), min(y + 2, height)))
    if y < height and not ink:
        blank += 1
        print('no ink at %d,%d: %s' % (x, y, t.firstChild.data))
print('%d rectangles in %d colours, %d texts' % (checked, len(colours), texts))
sys.exit(checked < 100 or len(colours) < 6 or texts < 10 or wrong or blank)
