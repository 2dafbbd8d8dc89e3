"""Integer codes of models that are quantised already, a code at a time."""

from collections.abc import Sequence


def counts(codes: Sequence[int], stored_bits: int) -> list[int]:
    """max |v|, Σ v², Σ streamed width, Σ literal width, number of v ≠ 0, min and max with 0."""
    return [
        max((abs(v) for v in codes), default=0),
        sum(v * v for v in codes),
        sum(bits([v], stored_bits) for v in codes),
        sum(paper_bits([v]) for v in codes),
        sum(v != 0 for v in codes),
        min([0, *codes]),
        max([0, *codes]),
    ]


def bits(codes: Sequence[int], stored_bits: int) -> int:
    """The planes that two's complement needs for the codes, at most the stored type's; 0 for 0."""
    n = 0
    while any(codes) and not all(n and -(2 ** (n - 1)) <= v <= 2 ** (n - 1) - 1 for v in codes):
        n += 1
    return min(n, stored_bits)


def paper_bits(codes: Sequence[int]) -> int:
    """⌈log2|v| + 1⌉ of Eq. 3 for the widest code: the least n with |v| ≤ 2^(n−1); 0 for 0."""
    n = 0
    while any(codes) and not (n and all(abs(v) <= 2 ** (n - 1) for v in codes)):
        n += 1
    return n
