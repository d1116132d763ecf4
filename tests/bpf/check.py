# SPDX-License-Identifier: MIT
# usage: check.py BOOK TRACE.json
# Compares a program's book (tests/bpf/actor.c) with a trace of the program. Prints each line that
# does not hold; exit code 1 if there is one.
import json
import operator
import sys

with open(sys.argv[1]) as f:
    book = f.read().splitlines()
with open(sys.argv[2]) as f:
    trace = json.loads(f.read().splitlines()[-1])

operators = {'=': operator.eq, '>=': operator.ge, '<=': operator.le}
names = {'calls': 'call', 'faults': 'fault'}


def member(path):
    at = trace
    key = None
    for part in path.split('/'):
        if isinstance(at, list) and part.isdigit():
            at = at[int(part)]
        elif isinstance(at, list):
            rows = [row for row in at if row[names[key]] == part]
            at = rows[0] if rows else {}
        else:
            at = at.get(part, 0)
        key = part
    return at


def value(text):
    if text in ('true', 'false'):
        return text == 'true'
    return int(text) if text.lstrip('-').isdigit() else text


bad = 0


def expect(what, got, op, want):
    global bad
    if not operators[op](got, want):
        print(f'{what}: {got}, but the program says {op} {want}')
        bad = 1


lines = 0
for line in book:
    words = line.split(' ')
    lines += 1
    if words[0] == 'ready':
        continue
    if words[:2] == ['distance', 'from']:
        # Slots are powers of two: the slot of the shortest time is the lowest one allowed.
        slots = member('refilled/distance_ns')
        expect(line, min(s['to'] for s in slots), '>=', int(words[2]))
    elif words[:2] == ['distance', 'to']:
        expect(line, max(s['from'] for s in member('refilled/distance_ns')), '<=', int(words[2]))
    elif words[0] == 'frame':
        frames = [f['function'] for f in member('sites/0/frames')]
        expect('frames ' + ' '.join(map(str, frames)), words[1] in frames, '=', True)
        expect('build ids', all(f['build_id'] for f in member('sites/0/frames')), '=', True)
    elif words[:2] == ['all', 'faults']:
        expect(line, sum(f['faults'] for f in member('faults')), words[2], int(words[3]))
        expect('timed', sum(f['timed'] for f in member('faults')), '<=', sum(
            f['faults'] for f in member('faults')))
    elif words[0] == 'sum':
        expect(line, sum(member(p) for p in words[1:-2]), words[-2], int(words[-1]))
    elif words[0] == 'grown':
        regions = member(words[1])
        expect(line, regions['most'] - regions['first'], '>=', int(words[2]))
    else:
        path, op, want = line.rsplit(' ', 2)
        expect(path, member(path), op, value(want))

# Checks that hold for every trace.
given = sum(c['given_bytes'] for c in trace['calls'])
expect('sum of given_bytes', given, '=', trace['given_back']['bytes'])
expect('sum of the sizes', sum(s['count'] for s in trace['given_back']['sizes']), '=',
       trace['given_back']['calls'])
refilled = trace['refilled']
# A part is no more than the whole; if the whole is unknown there is no part.
if trace['given_back']['freed_bytes'] is not None:
    back = trace['given_back']['freed_bytes'] + trace['given_back']['lazy_bytes']
    expect('ratio of memory', refilled['ratio_of_memory'] is None, '=',
           refilled['fresh_bytes'] > back or back == 0)
    expect('never', refilled['never_bytes'] is None, '=', refilled['fresh_bytes'] > back)
expect('sum of the distances', sum(s['count'] for s in refilled['distance_ns']), '=',
       refilled['bytes'] + refilled['late_bytes'])
for call in trace['calls']:
    expect('durations of ' + call['call'], sum(s['count'] for s in call['duration_ns']), '=',
           call['calls'])
cost = trace['cost']
expect('measured', cost['measured']['ns'], '=',
       sum(c['ns'] for c in trace['calls']) + sum(f['ns'] for f in trace['faults']))
expect('cost', cost['ns'], '=', cost['measured']['ns'] + cost['estimated']['ns'])
if lines < 3:
    print('the book is empty')
    bad = 1
sys.exit(bad)
