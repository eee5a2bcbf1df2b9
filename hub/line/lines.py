"""Cuts what an instrument sends into lines of text. Pure."""

LONGEST = 1000
"""Bytes of a line; it bounds what a pattern has to search."""


class LineReader:
    """Takes bytes as they arrive, in pieces of any size, and gives the lines that `end` completes.

    A line longer than `LONGEST` is dropped as a whole and counted in `overlong`, so that no more than its length
    and an `end` is ever kept. `from_middle`: the first line is dropped, because its beginning may be missing.
    Blank lines are skipped and counted in `blank`. `dropped_bytes` are those of lines that were dropped.
    """

    def __init__(self, end: bytes, from_middle: bool = False) -> None:
        self._end = end
        self._begun = b""
        self._is_dropping = from_middle
        self._is_overlong = False
        self.overlong = 0
        self.blank = 0
        self.dropped_bytes = 0

    @property
    def is_within_line(self) -> bool:
        """True while the end of a line that has begun is missing."""
        return bool(self._begun) or self._is_dropping

    def receive_data(self, data: bytes) -> list[str]:
        """The lines that these bytes complete, without their ends."""
        *complete, self._begun = (self._begun + data).split(self._end)
        lines = []
        for line in complete:
            self._is_overlong |= len(line) > LONGEST
            if self._is_dropping or self._is_overlong:
                self.overlong += self._is_overlong
                self.dropped_bytes += len(line)
            elif text := decoded(line):
                lines.append(text)
            else:
                self.blank += 1
            self._is_dropping = self._is_overlong = False
        most_of_an_end = len(self._end) - 1
        if len(self._begun) > LONGEST + most_of_an_end:
            self._is_dropping = self._is_overlong = True
            self.dropped_bytes += len(self._begun) - most_of_an_end
            self._begun = self._begun[len(self._begun) - most_of_an_end :]
        return lines

    def discard(self) -> None:
        """Drop the line that has begun; what still comes of it begins a line of its own."""
        self.dropped_bytes += len(self._begun)
        self._begun = b""
        self._is_dropping = self._is_overlong = False


def decoded(line: bytes) -> str:
    """A line as text: UTF-8, or Latin-1 where it is none, without line ends at either side."""
    try:
        text = line.decode()
    except UnicodeDecodeError:
        text = line.decode("latin-1")
    return text.strip("\r\n")
