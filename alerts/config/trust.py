"""The TLS settings of a sender: trusted certificate authorities and the client certificate."""

import ssl
from pathlib import Path

from pydantic import BaseModel, ConfigDict


class ClientCertificate(BaseModel):
    """PEM files for mutual TLS."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cert: Path
    key: Path


def client_context(ca_file: Path | None, client_cert: ClientCertificate | None) -> ssl.SSLContext:
    """The system's authorities (or those of SSL_CERT_FILE), those in `ca_file`, and the client certificate.

    Raises ValueError, which names the file and the cause.
    """
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except OSError as error:
            raise ValueError(f"{ca_file} cannot be read as PEM certificates: {_words(error)}") from None
    if client_cert is not None:
        try:
            context.load_cert_chain(client_cert.cert, client_cert.key, _no_password)
        except (OSError, ValueError) as error:
            files = f"{client_cert.cert} with {client_cert.key}"
            raise ValueError(f"{files} is no PEM certificate with its key: {_words(error)}") from None
    return context


def _no_password() -> str:
    raise ValueError("the key is encrypted and the hub cannot ask for its password; write an unencrypted key")


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "no PEM, or the two do not belong together"
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__
