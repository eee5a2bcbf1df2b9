"""Files of certificates, good and bad."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from alerts.config.rule import Receiver
from alerts.config.trust import ClientCertificate, client_context
from tests.alerts.certificates import Authority


def test_an_authority_of_the_site_stands_beside_those_of_the_system(tmp_path: Path) -> None:
    of_the_system = len(client_context(None, None).get_ca_certs())
    assert len(client_context(Authority(tmp_path).path, None).get_ca_certs()) == of_the_system + 1


def test_a_file_that_cannot_be_used_is_named_with_the_reason(tmp_path: Path) -> None:
    none, bad = tmp_path / "none.pem", tmp_path / "bad.pem"
    bad.write_text("not PEM")
    with pytest.raises(ValueError, match=r"none\.pem cannot be read as PEM certificates: No such file"):
        client_context(none, None)
    with pytest.raises(ValueError, match=r"bad\.pem cannot be read as PEM certificates: no PEM"):
        client_context(bad, None)
    with pytest.raises(ValueError, match=r"bad\.pem with .*bad\.pem is no PEM certificate with its key"):
        client_context(None, ClientCertificate(cert=bad, key=bad))


def test_a_certificate_with_the_key_of_another_is_refused(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    cert, _ = authority.issue("one")
    _, key = authority.issue("other")
    with pytest.raises(ValueError, match="do not belong together"):
        client_context(None, ClientCertificate(cert=cert, key=key))


def test_a_receiver_takes_relative_files_from_the_folder_of_its_configuration(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.issue("hub")
    keys = {"ca_file": "ca.pem", "client_cert": {"cert": "hub.crt", "key": "hub.key"}}
    given = {"name": "ops", "url": "https://x/", **keys}
    receiver = Receiver.model_validate(given, context={"folder": tmp_path})
    assert receiver.ca_file == tmp_path / "ca.pem"
    assert receiver.client_cert == ClientCertificate(cert=tmp_path / "hub.crt", key=tmp_path / "hub.key")
    with pytest.raises(ValidationError, match=r"gone\.pem cannot be read"):
        Receiver.model_validate({**given, "ca_file": "gone.pem"}, context={"folder": tmp_path})


@pytest.mark.parametrize("proxy", ["socks5://p:1", "p:8080", "http://", "http://p:1/path"])
def test_a_proxy_that_cannot_be_used_is_refused_without_its_address(proxy: str) -> None:
    with pytest.raises(ValidationError, match="write the proxy as http://host:port"):
        Receiver(name="ops", url="https://x/", proxy=proxy)
