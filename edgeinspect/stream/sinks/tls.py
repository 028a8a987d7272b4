"""TLS of the sinks that speak it: whom we trust, and who we are."""

from __future__ import annotations

import ssl

from edgeinspect.errors import ConfigError
from edgeinspect.stream.sinks.address import Address

__all__ = ["tls_context"]


def tls_context(address: Address) -> ssl.SSLContext:
    """From the options `ca` (else the system's), `certificate` and `key`, PEM files.

    Raises: ConfigError if a file cannot be read or is something else.
    """
    ca, certificate = address.file("ca"), address.file("certificate")
    try:
        context = ssl.create_default_context(cafile=ca)
        if certificate is not None:
            context.load_cert_chain(certificate, address.file("key"))
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(
            f"the certificates of the sink {address.name} cannot be used: {error}",
            hint="ca, certificate and key are PEM files",
        ) from error
    return context
