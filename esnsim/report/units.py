"""Numbers and names as people read and write them."""

PREFIXES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15, "E": 10**18}
JOULES = {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "µJ": 1e6, "mJ": 1e9, "J": 1e12}  # in pJ
LONGEST = 1000  # characters of a message; names come from files that anybody may have written


def human(value: float) -> str:
    """Three significant digits and an SI prefix, as options take them: 41.1M."""
    rounded = float(f"{value:.3g}")  # 999,999 is 1.00M and not 1000k
    prefix, scale = next(p for p in reversed(PREFIXES.items()) if rounded >= p[1] or p[1] == 1)
    if scale == 1 and rounded == int(rounded):
        return str(int(rounded))
    return f"{_three(rounded / scale)}{prefix}"


def joules(picojoules: float) -> str:
    """Three significant digits of an energy in pJ, in the SI unit that suits it: 12.1 µJ."""
    if not picojoules:
        return "0 J"
    rounded = float(f"{picojoules:.3g}")
    units = reversed(JOULES.items())
    unit, scale = next((u for u in units if rounded >= u[1]), ("fJ", JOULES["fJ"]))
    scaled = rounded / scale
    return f"{_three(scaled) if scaled >= 1 else f'{scaled:.3g}'} {unit}"


def _three(value: float) -> str:
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f}"


def exact(value: float) -> str:
    """All digits, with thousands separators."""
    return f"{int(value):,}" if value == int(value) else f"{value:,.2f}"


def percent(part: float, whole: float) -> str:
    """A share with one decimal: 12.3%."""
    return f"{100 * part / whole:.1f}%" if whole else "0.0%"


def printable(text: str) -> str:
    """Text on one line, without control characters; of a very long one the two ends."""
    line = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]}…{line[-LONGEST // 2 :]}"
