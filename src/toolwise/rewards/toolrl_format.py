"""ToolRL's turn grammar: the shape a turn must have, and the length of its thought."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnShape:
    """The shape that a reference turn asks of a turn.

    A thought; then, each after exactly one newline, a call block if the reference has one and a response
    block if it has one. Each of these tags must occur exactly once in the whole turn; the number of think
    tags is not looked at.

    Attributes:
        pieces: What must stand in the turn in this order, with anything between: the first at its start, the
            last at its end.
        tags: Tags that must occur exactly once.
    """

    pieces: tuple[str, ...]
    tags: tuple[str, ...]

    @classmethod
    def of(cls, reference: str) -> TurnShape:
        """The shape that the tags in a reference turn ask for."""
        pieces, tags = ["<think>"], []
        before = "</think>"
        if "<tool_call>" in reference:
            pieces.append(f"{before}\n<tool_call>\n")
            before = "\n</tool_call>"
            tags += ["<tool_call>", "</tool_call>"]
        if "<response>" in reference:
            pieces.append(f"{before}\n<response>")
            before = "</response>"
            tags += ["<response>", "</response>"]
        return cls((*pieces, before), tuple(tags))

    def fits(self, response: str) -> bool:
        """Whether a turn, stripped, has this shape."""
        first, *middle, last = self.pieces
        if not response.startswith(first) or not response.endswith(last):
            return False
        place, end = len(first), len(response) - len(last)
        for piece in middle:
            # The leftmost place leaves most room to what follows.
            found = response.find(piece, place, end)
            if found < 0:
                return False
            place = found + len(piece)
        return place <= end and all(response.count(tag) == 1 for tag in self.tags)


def reasoning_words(response: str) -> int:
    """Words after the last ``<think>`` up to the next ``</think>``; 0 if either tag is missing."""
    if "<think>" not in response or "</think>" not in response:
        return 0
    return len(response.rpartition("<think>")[2].partition("</think>")[0].split())
