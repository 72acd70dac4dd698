"""A minimum cut of a small directed graph (Dinic's algorithm)."""

from __future__ import annotations

from collections import deque

SOURCE, SINK = 0, 1
INFINITE = 1 << 200


class Network:
    """Nodes are numbers; SOURCE and SINK exist from the start."""

    def __init__(self) -> None:
        self._edges: list[list[int]] = [[], []]  # of each node: indices of its edges
        self._target: list[int] = []
        self._capacity: list[int] = []  # edge i's reverse is edge i ^ 1

    def node(self) -> int:
        self._edges.append([])
        return len(self._edges) - 1

    def edge(self, start: int, end: int, capacity: int) -> None:
        for a, b, c in ((start, end, capacity), (end, start, 0)):
            self._edges[a].append(len(self._target))
            self._target.append(b)
            self._capacity.append(c)

    def sink_side(self) -> set[int]:
        """The nodes on the sink's side of a minimum cut: as few as possible."""
        while self._augment():
            pass
        return self._reaching_sink()

    def _augment(self) -> bool:
        """Saturates the shortest paths; False when there are none."""
        level = self._levels()
        if level[SINK] < 0:
            return False
        unused = [iter(edges) for edges in self._edges]
        path: list[int] = []
        at = SOURCE
        while True:
            if at == SINK:
                at = self._push(path)
                continue
            for edge in unused[at]:
                if self._capacity[edge] > 0 and level[self._target[edge]] == level[at] + 1:
                    path.append(edge)
                    at = self._target[edge]
                    break
            else:
                if not path:
                    return True
                at = self._target[path.pop() ^ 1]

    def _push(self, path: list[int]) -> int:
        """Fills a path; returns the node before its first full edge and cuts the path there."""
        flow = min(self._capacity[edge] for edge in path)
        first = len(path)
        for i, edge in enumerate(path):
            self._capacity[edge] -= flow
            self._capacity[edge ^ 1] += flow
            if self._capacity[edge] == 0 and first == len(path):
                first = i
        at = self._target[path[first] ^ 1]
        del path[first:]
        return at

    def _levels(self) -> list[int]:
        level = [-1] * len(self._edges)
        level[SOURCE] = 0
        queue = deque([SOURCE])
        while queue:
            at = queue.popleft()
            for edge in self._edges[at]:
                end = self._target[edge]
                if self._capacity[edge] > 0 and level[end] < 0:
                    level[end] = level[at] + 1
                    queue.append(end)
        return level

    def _reaching_sink(self) -> set[int]:
        reaching = {SINK}
        queue = deque([SINK])
        while queue:
            at = queue.popleft()
            for edge in self._edges[at]:
                start = self._target[edge]
                if self._capacity[edge ^ 1] > 0 and start not in reaching:
                    reaching.add(start)
                    queue.append(start)
        return reaching
