"""Keys and certificates, made at run time by openssl(1); nothing of them is ever committed."""

import pathlib

from .processes import run, system_program


class CertificateAuthority:
    """A certification authority in a folder of its own, that signs servers and clients."""

    def __init__(self, folder, name="Fleet test authority"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "ca.crt"
        self.key = self.folder / "ca.key"
        _openssl(
            "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate,
            "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign,cRLSign",
        )
        self.key.chmod(0o600)

    def issue(self, name, hosts=("DNS:localhost", "IP:127.0.0.1"), days=1, start=None):
        """A key and a certificate for the hosts; returns (certificate, key) paths."""
        key, request, certificate, extensions = (
            self.folder / f"{name}{suffix}" for suffix in (".key", ".csr", ".crt", ".ext"))
        _openssl(
            "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        extensions.write_text(
            "subjectAltName=" + ",".join(hosts) + "\nextendedKeyUsage=serverAuth,clientAuth\n"
            if hosts else "extendedKeyUsage=serverAuth,clientAuth\n")
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key,
            "-CAcreateserial", "-days", str(days), "-extfile", extensions, "-out", certificate)
        key.chmod(0o600)
        return certificate, key


def _openssl(*arguments):
    done = run([system_program("openssl"), *arguments])
    if done.returncode != 0:
        raise RuntimeError(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
