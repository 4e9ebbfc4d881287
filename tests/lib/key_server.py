"""A server of keys with TLS and a throw-away CA, and tokens signed with such keys."""

import collections
import http.server
import json
import ssl
import subprocess
import threading
import time

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from guest import b64u

DISCOVERY = "/.well-known/openid-configuration"


def make_authority(folder):
    """ca.pem, and server.pem and server.key for 127.0.0.1, in this folder (pathlib)."""
    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True)
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=test CA",
            "-days", "2")
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            folder / "server.key", "-out", folder / "server.csr", "-subj", "/CN=keys")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n", encoding="ascii")
    openssl("x509", "-req", "-in", folder / "server.csr", "-CA", folder / "ca.pem", "-CAkey",
            folder / "ca.key", "-CAcreateserial", "-days", "2", "-extfile", folder / "names",
            "-out", folder / "server.pem")


class Signer:
    def __init__(self, kid=None):
        self.kid = kid
        self.key = ec.generate_private_key(ec.SECP256R1())

    def jwk(self, **more):
        numbers = self.key.public_key().public_numbers()
        named = {"kid": self.kid} if self.kid else {}
        return {"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", **named,
                "x": b64u(numbers.x.to_bytes(32, "big")),
                "y": b64u(numbers.y.to_bytes(32, "big")), **more}

    def pem(self):
        return self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims, **header):
        head = {"alg": "ES256", **({"kid": self.kid} if self.kid else {}), **header}
        claims = {"exp": int(time.time()) + 600, **claims}
        text = b64u(json.dumps(head).encode()) + "." + b64u(json.dumps(claims).encode())
        r, s = utils.decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return text + "." + b64u(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def key_set(*signers):
    return json.dumps({"keys": [s.jwk() for s in signers]})


class KeyServer:
    """Serves `pages`: path -> body, or (status, headers, body), or a function of the handler."""

    def __init__(self, folder, port=0):
        self.pages = {}
        self.asked = collections.Counter()
        self.ending = threading.Event()
        keys = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                keys.asked[self.path] += 1
                page = keys.pages.get(self.path, (404, {}, ""))
                if callable(page):
                    page(self)
                    return
                status, headers, body = page if isinstance(page, tuple) else (200, {}, page)
                body = body if isinstance(body, bytes) else body.encode()
                self.send_response(status)
                for name, value in {"Content-Length": len(body), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_):
                pass  # who is cut off says so, which some tests want

        self.server = Server(("127.0.0.1", port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.ending.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def issuer(self, path, jwks, named=None):
        """An OpenID issuer at this path, whose keys lie at jwks."""
        self.pages[path.rstrip("/") + DISCOVERY] = json.dumps({"issuer": named or self.url + path,
                                                   "jwks_uri": self.url + jwks})
        return self.url + path

    def endless(self, handler):
        handler.send_response(200)
        handler.end_headers()
        while not self.ending.is_set():
            handler.wfile.write(b" " * 65536)

    def slow(self, handler):
        handler.send_response(200)
        handler.end_headers()
        while not self.ending.wait(0.2):
            handler.wfile.write(b" ")
