# SPDX-License-Identifier: MIT
# map.py BOOKS MAP STATS SMAPS [trimmed]: compares the JSON of hakmemctl map with the books of
# pattern.c, with the JSON of hakmemctl stats --classes and with smaps, all of the same stopped
# process. A process that is trimmed has given free memory back, but for what pages with blocks in
# use keep.
import json
import re
import sys

books, doc, stats, smaps = (open(name).read() for name in sys.argv[1:5])
doc = json.loads(doc)
trimmed = len(sys.argv) > 5
stats = json.loads(stats)['processes'][0]
UNIT = doc['unit_bytes']
SLAB = 16 * UNIT


def same(what, got, want):
    if got != want:
        sys.exit('%s: %r, not %r' % (what, got, want))


same('changed', doc['changed'], False)
same('contradictions', doc['contradictions'], 0)
for key in doc['memory']:
    same('memory.' + key, doc['memory'][key], stats['memory'][key])
    same('counters.' + key, doc['counters'][key], stats['memory'][key])

# --- the books ----------------------------------------------------------------------------------
live, freed = [], []
for line in books.splitlines():
    words = line.split()
    if words[0] == 'ready':
        break
    entry = (int(words[1], 16), int(words[2]), int(words[3]))
    (live if words[0] == 'live' else freed).append(entry)

classes = {row['size']: row for row in doc['classes']}
for row in stats['classes']:
    ours = classes.get(row['size'], {'in_use': 0, 'cached': 0})
    if row['size'] == 20480 and row['class'] % 2 == 0:
        continue                 # the classes that share a size have no blocks
    same('class of %d: in use' % row['size'], ours['in_use'], row['in_use'])
    same('class of %d: cached' % row['size'], ours['cached'], row['cached'])

pinned = 0
for size in sorted({b[1] for b in live if b[1] <= 16384}):
    blocks = [b[0] for b in live if b[1] == size]
    slabs = [s for s in doc['slabs'] if s['size'] == size]
    same('blocks of %d' % size, classes[size]['in_use'], len(blocks))
    for s in slabs:
        base = int(s['address'], 16)
        inside = [b for b in blocks if base <= b < base + SLAB]
        count, taken = [0] * 16, [0] * 16
        for b in inside:
            same('offset in the slab', (b - base) % size, 0)
            for page in range((b - base) // UNIT, (b - base + size - 1) // UNIT + 1):
                count[page] += 1
                taken[page] += (min(b + size, base + (page + 1) * UNIT) -
                                max(b, base + page * UNIT))
        same('slab %s: in use' % s['address'], s['in_use'], len(inside))
        same('slab %s: blocks on its pages' % s['address'], s['live'], count)
        same('slab %s: all blocks' % s['address'], s['carved'],
             s['in_use'] + s['cached'] + s['remote'] + s['free'] + s['dropped'])
        pins = [page for page in range(16) if count[page] == 1 and 2 * taken[page] <= UNIT]
        same('slab %s: pinned' % s['address'], s['pinned_pages'], len(pins))
        same('slab %s: free on pinned' % s['address'], s['pinned_free'],
             sum(UNIT - taken[page] for page in pins))
        pinned += len(pins)
        tile = [e for e in doc['extents']
                if int(e['address'], 16) <= base < int(e['address'], 16) + e['bytes']]
        same('extents of slab %s' % s['address'], len(tile), 1)
        first = (base - int(tile[0]['address'], 16)) // UNIT
        letters = tile[0]['units'][first:first + 16]
        same('letters of slab %s' % s['address'],
             [i for i in range(16) if letters[i] == 'p'], pins)
    same('blocks in slabs of %d' % size, sum(s['in_use'] for s in slabs), len(blocks))
if pinned < 10:
    sys.exit('the pattern pins %d pages only' % pinned)

runs = {int(r['address'], 16): r for r in doc['runs']}
for address, size, touched in [b for b in live + freed if 16384 < b[1] < 1 << 20]:
    if (address, size, touched) in live:
        same('run %x' % address, (runs[address]['state'], runs[address]['size']),
             ('in_use', size))
        same('run %x: resident' % address, runs[address]['resident'], touched)
    elif address in runs and not trimmed:
        same('freed run %x' % address, runs[address]['state'], 'cached')

regions = {int(r['address'], 16): r for r in doc['regions']}
for address, size, touched in [b for b in live + freed if b[1] >= 1 << 20]:
    region = regions.get(address)
    in_use = (address, size, touched) in live
    if trimmed and not in_use:
        continue
    same('region %x' % address, region['state'], 'in_use' if in_use else 'dirty')
    same('region %x: bytes' % address, region['bytes'], size)
    if in_use:
        same('region %x: requested' % address, region['requested'], size)
    same('region %x: kept by its thread' % address, region['thread'], False)
    same('region %x: resident' % address, region['resident'], touched)
if trimmed:
    holes = sum(s['holes'] for s in doc['slabs'])
    if holes < 100 or not sum(c['dropped'] for c in doc['classes']):
        sys.exit('%d holes only' % holes)
    same('holes', UNIT * holes, [r['bytes'] for r in doc['states'] if r['state'] == 'hole'][0])
    same('dirty', doc['memory']['dirty'], 0)
else:
    same('regions that a thread keeps', [r['state'] for r in doc['regions'] if r['thread']],
         ['dirty'])

# --- sums, and smaps ----------------------------------------------------------------------------
for key in ('extents', 'regions'):
    same('bytes of ' + key, sum(r['bytes'] for r in doc['states'] if r['of'] == key),
         sum(r['bytes'] for r in doc[key]))
same('resident of extents', sum(r['resident'] for r in doc['states'] if r['of'] == 'extents'),
     UNIT * sum(e['resident'].count('1') for e in doc['extents']))
same('mapped', doc['memory']['mapped'], sum(r['bytes'] for r in doc['states']))
same('pinned', doc['pinned']['pages'], sum(c['pinned_pages'] for c in doc['classes']))

page = {}                        # of the heap: its address, and the resident bytes
for e in doc['extents']:
    for i, c in enumerate(e['resident']):
        page[int(e['address'], 16) + i * UNIT] = UNIT if c == '1' else 0
compared = 0
for part in re.split(r'^(?=[0-9a-f]+-[0-9a-f]+ )', smaps, flags=re.M)[1:]:
    start, end = (int(x, 16) for x in part.split(' ', 1)[0].split('-'))
    rss = int(re.search(r'^Rss: +(\d+) kB', part, re.M).group(1)) << 10
    covered = {a: page[a] for a in range(start, end, UNIT) if a in page}
    inside = [r for a, r in regions.items() if start <= a and a + r['bytes'] <= end]
    if len(covered) * UNIT + sum(r['bytes'] for r in inside) != end - start:
        continue                 # not of the heap alone
    same('Rss of %x-%x' % (start, end), sum(covered.values()) +
         sum(r['resident'] for r in inside), rss)
    compared += rss
if compared < (3 if trimmed else 8) << 20:
    sys.exit('only %d bytes of smaps belong to the heap alone' % compared)
