# SPDX-License-Identifier: Apache-2.0
"""vgpu-xen-grants --check: test_list_check.py VGPU_XEN_GRANTS"""

import os
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]


def check(text, *options):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "xen-guests")
        with open(path, "w") as file:
            file.write(text)
        done = subprocess.run([PROGRAM, "--check", "--guests", path, *options], capture_output=True, text=True,
                              timeout=60)
        return done.returncode, done.stderr


def test_a_right_list():
    code, words = check("# comment\n\none grants --vm-id 3 --pool B --priority low\ntwo 6 --vm-id 4 --channels 4\n")
    assert code == 0 and "is right" in words, words


def test_each_wrong_line_is_told():
    code, words = check("one grants --vm-id x\n# comment\ntwo 32\nthree\none grants\nfour grants --nonsense\n"
                        "five grants --pool 7\n" + "six grants" + " --vm-id 1" * 60 + "\n")
    assert code == 2, words
    for line in ("xen-guests:1: options: ", "xen-guests:3: 32: is neither a slot", "xen-guests:4: three: there is neither",
                 "xen-guests:5: one: is in an earlier line", "xen-guests:6: options: ", "--nonsense",
                 "xen-guests:7: options: ", "xen-guests:8: "):
        assert line in words, (line, words)


def test_one_guest():
    assert subprocess.run([PROGRAM, "--check", "--vm-id=3", "1"], timeout=60).returncode == 0
    for options in (["--vm-id=x", "1"], ["--pool=AB", "1"], ["--priority=urgent", "1"], ["0"], ["--channels=0", "1"]):
        done = subprocess.run([PROGRAM, "--check", *options], capture_output=True, timeout=60)
        assert done.returncode == 2, options


def test_no_list():
    done = subprocess.run([PROGRAM, "--check", "--guests=/nowhere/list"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2 and "/nowhere/list: No such file" in done.stderr


if __name__ == "__main__":
    tests = [(name, value) for name, value in list(globals().items()) if name.startswith("test_")]
    print("1..%d" % len(tests))
    for number, (name, test) in enumerate(tests, 1):
        try:
            test()
            print("ok %d %s" % (number, name))
        except AssertionError as error:
            print("not ok %d %s: %r" % (number, name, error))
