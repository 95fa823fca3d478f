"""``TLS``: the three files by which a client proves its identity."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from distributed import Security

from covdist.errors import ClusterError


class TLS(NamedTuple):
    """Paths of PEM files: the cluster's authority, the client's certificate, and the certificate's key."""

    ca: str
    cert: str
    key: str

    def security(self, scheduler: str) -> Security:
        """Return dask's object for them.

        Raises
        ------
        ClusterError
            If a file is missing or invalid, the key does not fit the certificate, or the address is not ``tls://``.
        """
        if "://" in scheduler and not scheduler.startswith("tls://"):
            raise ClusterError(
                f"{scheduler} is an address without TLS, but certificates were given: write it with tls://, or leave "
                "the certificates out"
            )
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            raise ClusterError(f"{self.ca} holds no certificate authority ({error}): pass its ca.pem") from error
        try:
            context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as error:
            raise ClusterError(
                f"{self.cert} and {self.key} are no certificate and its key ({error}): pass what the same run of "
                "make-certs.sh made"
            ) from error
        return Security(
            tls_ca_file=self.ca, tls_client_cert=self.cert, tls_client_key=self.key, require_encryption=True
        )
