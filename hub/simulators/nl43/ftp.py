"""The part of the meter's FTP server that a monitor uses: a banner, a login, and no passive mode."""

BANNER = b"220 Connection Ready\r\n"


class FtpDialogue:
    """One FTP control connection, without I/O."""

    def __init__(self, user: str = "USER", password: str = "0000") -> None:
        self._user, self._password = user, password
        self._named: str | None = None
        self._buffer = b""
        self.is_over = False

    def receive(self, data: bytes) -> bytes:
        """The replies to whatever commands `data` completes."""
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        self._buffer = self._buffer[-512:]
        return b"".join(self._reply(line.decode("ascii", "replace").strip()) for line in lines)

    def _reply(self, line: str) -> bytes:
        verb, _, argument = line.partition(" ")
        match verb.upper():
            case "USER":
                self._named = argument
                return b"331 User name okay, need password\r\n"
            case "PASS":
                is_known = (self._named, argument) == (self._user, self._password)
                return b"230 User logged in\r\n" if is_known else b"530  Login Fail\r\n"
            case "NOOP":
                return b"200 OK\r\n"
            case "QUIT":
                self.is_over = True
                return b"221 Goodbye\r\n"
            case _:
                return b"502  Not Implemented\r\n"
