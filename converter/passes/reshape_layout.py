"""Whether a reshape can be done on permuted data: when it only splits and merges neighbours."""

from __future__ import annotations

from collections.abc import Sequence

Shape = Sequence[int]


def permuted_reshape(source: Shape, target: Shape, perm: tuple[int, ...]) -> tuple[int, ...] | None:
    """The permutation of a reshape's result when its input comes permuted by ``perm``.

    The reshape splits and merges blocks of dimensions. It can be done when the dimensions of each block
    still are neighbours in the same order; the result's blocks then follow the input's. Dimensions of one
    element belong to no block: those of the result stay behind the one they follow. An unknown dimension
    (-1) must be a block of its own. None when it cannot be done.

    >>> permuted_reshape((1, 8, 5, 5), (1, 2, 4, 5, 5), (0, 2, 3, 1))  # channels into groups
    (0, 3, 4, 1, 2)
    """
    if len(perm) != len(source) or list(target).count(-1) > 1:
        return None
    blocks = _blocks(source, target)
    if blocks is None:
        return None
    order = [axis for axis in perm if source[axis] != 1]
    result: list[int] = []
    while order:
        inputs, outputs = blocks.get(order[0], ([], []))
        if not inputs or order[: len(inputs)] != inputs:
            return None
        del order[: len(inputs)]
        result += outputs
    return _with_unit_axes(target, result)


def _blocks(source: Shape, target: Shape) -> dict[int, tuple[list[int], list[int]]] | None:
    """The smallest blocks of source and target axes with equal numbers of elements, by first source axis."""
    inputs = [axis for axis, size in enumerate(source) if size != 1]
    outputs = [axis for axis, size in enumerate(target) if size != 1]
    if 0 in source or 0 in target:
        return None
    blocks: dict[int, tuple[list[int], list[int]]] = {}
    i = j = 0
    while i < len(inputs) and j < len(outputs):
        first_in, first_out = i, j
        left, right = source[inputs[i]], target[outputs[j]]
        i, j = i + 1, j + 1
        while left != right:
            if left < 0 or right < 0:
                return None
            if left < right and i < len(inputs):
                left *= _known(source[inputs[i]])
                i += 1
            elif right < left and j < len(outputs):
                right *= _known(target[outputs[j]])
                j += 1
            else:
                return None
        blocks[inputs[first_in]] = inputs[first_in:i], outputs[first_out:j]
    return blocks if i == len(inputs) and j == len(outputs) else None


def _known(size: int) -> int:
    """0 for an unknown dimension: no product then comes out equal."""
    return max(size, 0)


def _with_unit_axes(target: Shape, order: list[int]) -> tuple[int, ...]:
    """Adds the axes of one element, each behind the axis it follows in the target."""
    result: list[int] = []
    followers: dict[int, list[int]] = {}
    last = -1
    for axis, size in enumerate(target):
        if size == 1:
            followers.setdefault(last, []).append(axis)
        else:
            last = axis
    result += followers.get(-1, [])
    for axis in order:
        result += [axis, *followers.get(axis, [])]
    return tuple(result)
