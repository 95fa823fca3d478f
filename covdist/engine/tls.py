"""``TLS``: the three files with which a client shows who it is."""

from __future__ import annotations

import ssl
from typing import NamedTuple

from distributed import Security

from covdist.errors import ClusterError


class TLS(NamedTuple):
    """Paths of PEM files: the cluster's authority, the client's certificate, and its key."""

    ca: str
    cert: str
    key: str

    def security(self, scheduler: str) -> Security:
        """Return them as dask wants them.

        Raises
        ------
        ClusterError
            If one is missing, no certificate or of another key, or the address is no ``tls://`` one.
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
