# SPDX-License-Identifier: Apache-2.0
"""A strict parser of Prometheus' text format 0.0.4, and Prometheus' own promtool."""

import math
import os
import re
import shutil
import subprocess

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
LABEL_ONLY = LABEL.replace("([a-z", "(?:[a-z").replace("((?:", "(?:(?:")
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)\})? (\S+)" % (NAME, LABEL_ONLY, LABEL_ONLY))
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


class Exposition:
    """families: name -> (type, help); samples: (name, labels as a sorted tuple) -> value."""

    def __init__(self, text):
        assert text.endswith("\n"), "the last line has no end"
        self.families = {}
        self.samples = {}
        self.family = None
        for number, line in enumerate(text[:-1].split("\n"), 1):
            try:
                self.line(line)
            except AssertionError as error:
                raise AssertionError("line %d: %s: %s" % (number, line, error)) from None
        for name, (kind, _) in self.families.items():
            if kind == "histogram":
                self.check_histogram(name)

    def line(self, line):
        if line.startswith("#"):
            self.comment(line)
            return
        match = SAMPLE.fullmatch(line)
        assert match, "no sample"
        name, labels, value = match.groups()
        kind, _ = self.families.get(self.family, (None, None))
        base = re.sub("_(bucket|sum|count)$", "", name) if kind == "histogram" else name
        assert base == self.family, "it does not stand below its family's head"
        pairs = re.findall(LABEL, labels or "")
        assert len({key for key, _ in pairs}) == len(pairs), "a label is there twice"
        key = (name, tuple(sorted(pairs)))
        assert key not in self.samples, "the sample is there twice"
        assert re.fullmatch(r"[+-]?(\d+(\.\d+)?(e[+-]?\d+)?|Inf)|NaN", value), "no number"
        number = float(value)
        if kind in ("counter", "histogram"):
            assert number >= 0 and not math.isnan(number), "a counter is not negative"
        self.samples[key] = number

    def comment(self, line):
        match = re.fullmatch(r"# (HELP|TYPE) (%s) (.+)" % NAME, line)
        assert match, "neither HELP nor TYPE"
        what, name, text = match.groups()
        if what == "HELP":
            assert name not in self.families, "the family is there twice"
            self.families[name] = (None, text)
        else:
            assert name == self.family or name in self.families and self.families[name][0] is None
            assert text in TYPES, "no type"
            assert (text == "counter") == name.endswith("_total"), "counters end in _total"
            self.families[name] = (text, self.families[name][1])
        self.family = name

    def check_histogram(self, name):
        series = {}
        for (sample, labels), value in self.samples.items():
            if sample == name + "_bucket":
                bound = float(dict(labels)["le"])
                rest = tuple(pair for pair in labels if pair[0] != "le")
                series.setdefault(rest, []).append((bound, value))
        for labels, buckets in series.items():
            assert buckets == sorted(buckets), "buckets are out of order"
            assert [value for _, value in buckets] == sorted(value for _, value in buckets), "not cumulative"
            assert buckets[-1][0] == math.inf, "no +Inf"
            assert buckets[-1][1] == self.samples[(name + "_count", labels)]
            assert (name + "_sum", labels) in self.samples

    def value(self, name, **labels):
        return self.samples[(name, tuple(sorted(labels.items())))]

    def named(self, name):
        return [dict(labels) for sample, labels in self.samples if sample == name]


def promtool_find():
    """Its path, and why there is none: the one that is installed, or unpacked from the distribution's package."""
    installed = shutil.which("promtool")
    if installed:
        return installed, ""
    here = os.path.dirname(os.path.abspath(__file__))
    cache = os.environ.get("VGPU_CACHE") or os.path.join(here, "..", "..", ".cache")
    try:
        done = subprocess.run([os.path.join(here, "fetch_promtool.sh"), cache], capture_output=True, text=True,
                              timeout=120)
    except subprocess.TimeoutExpired:
        return None, "the package prometheus takes too long to download"
    return done.stdout.strip() or None, "the package prometheus cannot be had: " + done.stderr.strip()


def promtool(path, text):
    """Exit code and what it says."""
    done = subprocess.run([path, "check", "metrics"], input=text, capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr
