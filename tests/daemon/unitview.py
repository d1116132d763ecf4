# SPDX-License-Identifier: MIT
# unitview.py UNITVIEW: each service of the running systemd, as hakmemctl reads its files and as
# systemd has it, must be the same. systemd expands specifiers, which files have as written: a value
# with a % in a file is left out of both.
import json
import os
import subprocess
import sys

BUS = "org.freedesktop.systemd1"
MANAGER = "/org/freedesktop/systemd1", BUS + ".Manager"


def run(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def call(method, *args):
    return json.loads(run("busctl", "-j", "call", BUS, *MANAGER, method, *args))["data"][0]


def properties(path, interface, names):
    lines = run("busctl", "-j", "get-property", BUS, path, BUS + "." + interface, *names)
    return dict(zip(names, (json.loads(line)["data"] for line in lines.splitlines())))


def assignments(words):
    return dict(word.split("=", 1) for word in words if "=" in word)


def without_specifiers(mine, its):
    names = [name for name, value in mine.items() if "%" in value]
    for name in names:
        del mine[name]
        its.pop(name, None)


def plain(values):
    return [value for value in values if "%" not in value]


def program(value):
    return value.lstrip("@-:+!|").split()[0].strip("\"'").rsplit("/", 1)[-1]


def ours(unit):
    o = json.loads(run(sys.argv[1], unit))
    if o["LoadState"] == "loaded":
        o["Environment"] = assignments(o["Environment"])
        o["EnvironmentFiles"] = plain(o["EnvironmentFiles"])
        o["ExecStart"] = [program(value) for value in o["ExecStart"]]
        o["User"] = o["User"] or ""
    return o


def systemds(unit):
    path = call("LoadUnit", "s", unit)
    o = properties(path, "Unit", ["LoadState", "Id", "FragmentPath"])
    if o["LoadState"] not in ("loaded", "bad-setting"):
        return {"LoadState": o["LoadState"]}
    o["LoadState"] = "loaded"
    o["FragmentPath"] = os.path.realpath(o["FragmentPath"])  # /lib is a link
    o.update(properties(path, "Service", ["Environment", "EnvironmentFiles", "ExecStart", "User",
                                          "UnsetEnvironment", "DynamicUser", "PrivateDevices"]))
    o["Environment"] = assignments(o["Environment"])
    o["EnvironmentFiles"] = ["-" * skip + name for name, skip in o["EnvironmentFiles"]]
    o["ExecStart"] = [command[0].rsplit("/", 1)[-1] for command in o["ExecStart"]]
    return o


names = set(sys.argv[2:])
for line in run("systemctl", "list-unit-files", "--type=service", "--no-legend").splitlines():
    name = line.split()[0]
    names.add(name.replace("@.", "@some-thing."))
different = 0
for name in sorted(names):
    mine, its = ours(name), systemds(name)
    without_specifiers(mine.get("Environment", {}), its.get("Environment", {}))
    for key in sorted(set(mine) | set(its)):
        one, other = mine.get(key), its.get(key)
        if key in ("EnvironmentFiles", "ExecStart") and isinstance(other, list) and \
                isinstance(one, list) and len(one) != len(other):
            continue  # one with a specifier
        if key == "User" and "%" in (one or ""):
            continue
        if one != other:
            print(f"{name}: {key}: {one!r} from files, {other!r} from systemd")
            different += 1
print(f"{len(names)} services, {different} differences")
sys.exit(different != 0 or len(names) < 20)
