"""The dialogue of the FTP port."""

import pytest

from hub.simulators.nl43.ftp import FtpDialogue


def test_a_right_login_is_accepted_and_passive_mode_is_unknown() -> None:
    dialogue = FtpDialogue()
    assert dialogue.receive(b"USER USER\r\n").startswith(b"331")
    assert dialogue.receive(b"PASS 0000\r\n").startswith(b"230")
    assert dialogue.receive(b"PASV\r\n") == b"502  Not Implemented\r\n"
    assert not dialogue.is_over
    assert dialogue.receive(b"QUIT\r\n").startswith(b"221")
    assert dialogue.is_over


@pytest.mark.parametrize("lines", [b"USER USER\r\nPASS 1\r\n", b"USER x\r\nPASS 0000\r\n", b"PASS 0000\r\n"])
def test_a_bad_login_fails(lines: bytes) -> None:
    assert FtpDialogue().receive(lines).endswith(b"530  Login Fail\r\n")


def test_a_command_may_come_in_pieces() -> None:
    dialogue = FtpDialogue()
    assert dialogue.receive(b"PA") == b""
    assert dialogue.receive(b"SV\r") == b""
    assert dialogue.receive(b"\n") == b"502  Not Implemented\r\n"
