# SPDX-License-Identifier: MIT
"""The profiles that profile.test made of tests/bpf/leaky, against what that program does.

A round is 20,000 requests; each keeps a block of 208 usable bytes, from remember(), and frees one
of 1,024, from compose(). Sums of weights have a standard deviation of at most the square root of
rate times sum; five of them are allowed, and what the rest of the process does.
"""
import gzip
import json
import math
import sys
import xml.dom.minidom

RATE = 32768
REQUESTS = 20000
KEPT, USED = 208, 1024
folder = sys.argv[1]
demangles = sys.argv[2] == 'yes'  # whether this build reads names of C++
bad = []


def near(what, estimate, truth):
    bound = 5 * math.sqrt(RATE * truth)
    if abs(estimate - truth) > bound:
        bad.append(f'{what}: {estimate}, not {truth} +- {bound:.0f}')


def must(condition, what):
    if not condition:
        bad.append(what)


def of(stacks, function, value):
    return sum(s[value]['bytes'] for s in stacks
               if s['stack'] and s['stack'][0]['function'] == function)


# -- JSON: sums, and by function
j = json.load(open(f'{folder}/json'))
must(j['lost'] == 0 and j['unfollowed'] == 0, f'lost {j["lost"]}')
near('allocated by remember', of(j['stacks'], 'remember', 'allocated'), 4 * REQUESTS * KEPT)
near('held by remember', of(j['stacks'], 'remember', 'in_use'), 4 * REQUESTS * KEPT)
near('allocated by compose', of(j['stacks'], 'compose', 'allocated'), 4 * REQUESTS * USED)
must(of(j['stacks'], 'compose', 'in_use') == 0, 'compose holds something')
near('allocated', j['allocated']['bytes'], 4 * REQUESTS * (KEPT + USED))
near('in use', j['in_use']['bytes'], 4 * REQUESTS * KEPT)
stacks = [s['stack'] for s in j['stacks'] if s['stack'][0]['function'] == 'remember']
SERVE, DISTEND = '_ZN4shop5Order5serveEi', '_Z7distend1AIiiE'
if demangles:
    SERVED = 'shop::Order::serve(int)'
else:
    SERVED = SERVE
for frames in stacks:
    for key, serve in (('function', SERVED), ('symbol', SERVE)):
        names = [f[key] for f in frames]
        must(names[:2] == ['remember', serve] and names[2].startswith(DISTEND)
             and len(names[2]) > 250 and names[3] == 'main', str(names))

# -- the report
report = open(f'{folder}/report').read()
must(f'remember < {SERVED} < {DISTEND}' in report, report)
must('compose' not in report, 'the report names what is not held')


# -- folded
def folded(name):
    sums = {}
    for line in open(f'{folder}/{name}'):
        stack, number = line.rsplit(' ', 1)
        must('compose' not in stack or f';{SERVED};' in stack, stack)
        leaf = stack.split(';')[-1]
        sums[leaf] = sums.get(leaf, 0) + int(number)
    return sums


sums = folded('alloc.folded')
near('folded, remember', sums.get('remember', 0), REQUESTS * KEPT)
near('folded, compose', sums.get('compose', 0), REQUESTS * USED)
must(list(folded('live.folded')) == ['remember'], str(folded('live.folded')))

# -- the picture
svg = xml.dom.minidom.parse(f'{folder}/svg')
titles = [t.firstChild.data for t in svg.getElementsByTagName('title')]
must(any(t.startswith('compose ') for t in titles), str(titles))
must(any(t.startswith(SERVED + ' ') for t in titles), str(titles))
must(len(svg.getElementsByTagName('script')) == 0, 'a script')


# -- pprof: a reader of its own, by the published fields
def fields(data):
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
        elif key & 7 == 2:
            n = varint()
            yield key >> 3, data[at:at + n]
            at += n
        else:
            raise ValueError(f'wire type {key & 7}')


def packed(data):
    values, value, shift = [], 0, 0
    for byte in data:
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            values.append(value)
            value = shift = 0
    return values


whole = list(fields(gzip.open(f'{folder}/pb.gz').read()))
strings = [v.decode() for f, v in whole if f == 6]
functions = {d[1]: strings[d[2]] for f, v in whole if f == 5 for d in [dict(fields(v))]}
system = {strings[d[3]]: strings[d[2]] for f, v in whole if f == 5 for d in [dict(fields(v))]}
must(system.get(SERVE) == SERVED and system.get('main') == 'main', str(system))
locations = {d[1]: functions[dict(fields(d[4]))[1]]
             for f, v in whole if f == 4 for d in [dict(fields(v))]}
types = [strings[dict(fields(v))[1]] for f, v in whole if f == 1]
must(strings[0] == '', 'the first string')
must(types == ['alloc_objects', 'alloc_space', 'inuse_objects', 'inuse_space'], str(types))
sums = {}
for f, v in whole:
    if f == 2:
        sample = dict(fields(v))
        leaf = locations[packed(sample[1])[0]]
        old = sums.get(leaf, [0] * 4)
        sums[leaf] = [a + b for a, b in zip(old, packed(sample[2]))]
near('pprof, remember', sums['remember'][3], REQUESTS * KEPT)
near('pprof, compose', sums['compose'][1], REQUESTS * USED)
must(sums['compose'][2:] == [0, 0], 'pprof: compose holds something')
must(abs(sums['remember'][0] - sums['remember'][1] / KEPT) <= 1, 'pprof: blocks')

for line in bad:
    print(line)
sys.exit(bool(bad))
