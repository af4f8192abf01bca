"""Prints the rows: each broker's figure, the ratio that counts, what is asked, and whether it holds."""

import itertools

from .rows import medians

TITLE, COLUMN = 46, 18


def shown(row, value):
    if value is None:
        return "-"
    if row.unit == "MB":
        value /= 1e6
    if row.unit in ("bytes", "1/s"):
        return f"{value:,.0f}"
    return f"{value:.3f}" if value < 10 else f"{value:.1f}"


def peers_of(aim, brokers):
    """The brokers whose figures an aim is a share of."""
    if aim.of == "best":
        return [b for b in brokers if b.kind != "fleet"]
    if aim.of == "debian":
        return [b for b in brokers if getattr(b, "is_debian", False)]
    return [b for b in brokers if b.kind == aim.of]


class Table:
    def __init__(self, bench, brokers):
        self.bench, self.brokers = bench, brokers
        self.ours = {}
        self.missed = []

    def head(self):
        print(f"{'':{TITLE}}" + "".join(f"{b.name:>{COLUMN}}" for b in self.brokers)
              + f"{'ratio':>8}{'aim':>8}{'floor':>8}")

    def print_all(self, rows):
        self.head()
        for _, group in itertools.groupby(rows, key=lambda row: row.key):
            self.print_group(list(group))

    def print_group(self, rows):
        found, notes = medians(self.bench, self.brokers, rows)
        for row in rows:
            self.print_row(row, {name: parts.get(row.part) for name, parts in found.items()})
        for name, note in notes.items():
            print(f"  ({name}: {note})", flush=True)

    def print_row(self, row, figures):
        own = figures.get(self.brokers[0].name)
        self.ours[row.key, row.part] = own
        columns = "".join(f"{shown(row, figures.get(b.name)):>{COLUMN}}" for b in self.brokers)
        print(f"{row.title + ', ' + row.unit:{TITLE}}{columns}{self.judgement(row, own, figures)}",
              flush=True)

    def judgement(self, row, own, figures):
        aim = row.aim
        if aim is None:
            return ""
        if own is None:
            self.missed.append(row)
            return "  not judged"
        if aim.of is None:
            return self.verdict(row, aim, own, "")
        if aim.of.startswith("row "):
            theirs = [self.ours.get((aim.of[4:], row.part))]
        else:
            theirs = [figures.get(b.name) for b in peers_of(aim, self.brokers)]
        theirs = [value for value in theirs if value]
        if not theirs:
            return "  not judged"
        best = max(theirs) if aim.more_is_better else min(theirs)
        return self.verdict(row, aim, own / best, f"{own / best:.2f}")

    def verdict(self, row, aim, value, ratio):
        def reached(bound):
            return value >= bound if aim.more_is_better else value <= bound
        word = "pass" if reached(aim.aim) else "short" if reached(aim.floor) else "FAILS"
        if word != "pass":
            self.missed.append(row)
        return f"{ratio:>8}{aim.aim:>8g}{aim.floor:>8g}  {word}"
