# SPDX-License-Identifier: MIT
# usage: stack.py OBJECT...
# The stack that programs of BPF objects need with all functions that they call, as kernels count
# it: for each function the deepest byte below r10 that it touches, in parts of 32 bytes, one at
# least. Kernels refuse more than 512; newer kernels, which count in parts of 16, would not notice.
import struct
import sys

LIMIT, PART = 512, 32
CALL, LOAD_WIDE, MOVE, ADD = 0x85, 0x18, 0xbf, 0x07
LOADS, STORES = (1,), (2, 3)		# classes of instructions


class Object:
    """An ELF file of BPF programs."""

    def __init__(self, path):
        self.data = open(path, "rb").read()
        assert self.data[:6] == b"\x7fELF\x02\x01", f"{path} is no object for this"
        at, = struct.unpack_from("<Q", self.data, 40)
        n, = struct.unpack_from("<H", self.data, 60)
        # type, offset, size, link, info
        self.sections = [struct.unpack_from("<4xI16xQQII", self.data, at + 64 * i)
                         for i in range(n)]
        table = next(s for s in self.sections if s[0] == 2)
        names = self.sections[table[3]]
        self.symbols = []		# (name, kind, section, value, size)
        for at in range(table[1], table[1] + table[2], 24):
            name, info, _, section, value, size = struct.unpack_from("<IBBHQQ", self.data, at)
            begin = names[1] + name
            text = self.data[begin:self.data.index(b"\0", begin)].decode()
            self.symbols.append((text, info & 15, section, value, size))
        self.functions = [s for s in self.symbols if s[1] == 2 and s[4]]
        self.relocations = {}
        for kind, offset, size, _, info in self.sections:
            if kind == 9:
                for at in range(offset, offset + size, 16):
                    where, what = struct.unpack_from("<QQ", self.data, at)
                    self.relocations[info, where] = self.symbols[what >> 32]

    def function_at(self, section, at):
        for f in self.functions:
            if f[2] == section and f[3] <= at < f[3] + f[4]:
                return f
        raise AssertionError(f"no function at {at} of section {section}")

    def look(self, function):
        """Bytes of stack, and the functions that are called or handed on to be."""
        name, _, section, begin, size = function
        text = self.sections[section][1]
        depth, calls, copies = 0, set(), set()
        at = begin
        while at < begin + size:
            code, registers, off, imm = struct.unpack_from("<BBhi", self.data, text + at)
            to, source = registers & 15, registers >> 4
            symbol = self.relocations.get((section, at))
            if code & 7 in LOADS and source == 10 or code & 7 in STORES and to == 10:
                depth = max(depth, -off)
            elif code == MOVE and source == 10:
                copies.add(to)
            elif code == ADD and to in copies:
                depth = max(depth, -imm)
                copies.discard(to)
            elif code == CALL and source == 1:
                if symbol is None:
                    calls.add(self.function_at(section, at + 8 * (imm + 1)))
                elif symbol[1] == 3:	# the section: the rest stands in the instruction
                    calls.add(self.function_at(symbol[2], 8 * (imm + 1)))
                else:
                    calls.add(symbol)
            elif code == LOAD_WIDE and symbol:
                if symbol[1] == 3 and any(f[2] == symbol[2] for f in self.functions):
                    calls.add(self.function_at(symbol[2], imm))
                elif symbol[1] == 2:
                    calls.add(symbol)
            at += 16 if code == LOAD_WIDE else 8
        return depth, calls

    def deepest(self, function, above=()):
        """(bytes, names) of the chain of calls that needs most."""
        assert function not in above, f"{function[0]} calls itself"
        depth, calls = self.look(function)
        own = max(depth + PART - 1, PART) // PART * PART
        most = max((self.deepest(f, (*above, function)) for f in calls), default=(0, ()))
        return own + most[0], (f"{function[0]} {own}", *most[1])


failed = seen = 0
for path in sys.argv[1:]:
    obj = Object(path)
    called = {f for g in obj.functions for f in obj.look(g)[1]}
    for f in obj.functions:
        if f not in called:
            size, chain = obj.deepest(f)
            print(f"{path}: {size} bytes: {', '.join(chain)}")
            failed |= size > LIMIT
            seen += 1
assert seen, "no programs"
sys.exit("too much stack for older kernels" if failed else 0)
