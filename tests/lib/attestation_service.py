"""An attestation service for tests: it verifies sample evidence, signs tokens, and speaks REST
(RestService) or gRPC (GrpcService, with grpcio; HandMadeGrpc, frame by frame, which can also misbehave).
Written after the interface, not after the broker: what it gets it takes apart by itself."""

import base64
import hashlib
import http.server
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time
import urllib.parse

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from guest import b64u, canonical, unb64u

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before anybody imports grpc: stories fail on purpose
CLASSES = {"sample": "cpu", "se": "cpu", "snp": "cpu", "sampledevice": "gpu", "nvidia": "gpu"}


class Refusal(Exception):
    pass


class Appraiser:
    """What the service does, whatever it is asked by."""

    def __init__(self, key_file, cert_file):
        with open(key_file, "rb") as file:
            self.key = serialization.load_pem_private_key(file.read(), None)
        with open(cert_file, "rb") as file:
            self.cert = x509.load_pem_x509_certificate(file.read())
        self.asked = []       # (what, argument)
        self.policies = {}
        self.values = {}
        self.change = lambda claims: claims
        self.hold = threading.Event()  # evaluations wait for it
        self.hold.set()
        self.under_way, self.most_under_way = 0, 0
        self.lock = threading.Lock()

    def sign(self, claims, key=None):
        key = key or self.key
        numbers = key.public_key().public_numbers()
        header = {"typ": "JWT", "alg": "ES256", "jwk": {
            "alg": "ES256", "kty": "EC", "crv": "P-256", "x": b64u(numbers.x.to_bytes(32, "big")),
            "y": b64u(numbers.y.to_bytes(32, "big")), "x5c": [base64.b64encode(
                self.cert.public_bytes(serialization.Encoding.DER)).decode()]}}
        signed = b64u(json.dumps(header).encode()) + "." + b64u(json.dumps(claims).encode())
        r, s = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return signed + "." + b64u(r.to_bytes(32, "big") + s.to_bytes(32, "big"))

    def submod(self, piece):
        tee, evidence = piece["tee"], json.loads(unb64u(piece["evidence"]))
        if tee not in CLASSES:
            raise Refusal(f"parse TEE type: Unsupported TEE type: {tee}")
        if not isinstance(evidence, dict):
            raise Refusal(f"Deserialize Quote failed: invalid type: string {json.dumps(evidence)}, expected struct")
        runtime = piece["runtime"]
        bound = hashlib.new(piece["hash"], canonical(runtime)).digest()
        if base64.b64decode(evidence["report_data"]) != bound:
            raise Refusal("Attestation evaluation failed: \n0: Verifier evaluate failed: REPORT_DATA is "
                          "different from that in Sample Quote\n\nStack backtrace: " + "x" * 3000)
        annotated = {"report_data": evidence["report_data"], "runtime_data_claims": runtime,
                     tee: {"svn": evidence["svn"]}}
        if piece["init_data"]:
            annotated["init_data"] = b64u(hashlib.sha256(piece["init_data"].encode()).digest())
        return {"ear.status": "affirming", "ear.appraisal-policy-id": "default",
                "ear.veraison.annotated-evidence": annotated}

    def evaluate(self, pieces, policy_ids):
        with self.lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self.asked.append(("evaluate", pieces))
            assert policy_ids == ["default"], policy_ids
            self.hold.wait(30)
            submods, numbers = {}, {}
            for piece in pieces:
                kind = CLASSES.get(piece["tee"], "?")
                submods[f"{kind}{numbers.setdefault(kind, 0)}"] = self.submod(piece)
                numbers[kind] += 1
            now = int(time.time())
            return self.sign(self.change({"iss": "test AS", "iat": now, "exp": now + 300,
                                          "submods": submods}))
        finally:
            with self.lock:
                self.under_way -= 1

    def challenge(self, tee, params):
        self.asked.append(("challenge", (tee, params)))
        if tee != "se":
            return ""
        if "refuse" in params:
            raise Refusal("generate challenge failed: no such image")
        return json.dumps({"encoding": "base64", "request_blob": base64.b64encode(params.encode()).decode(),
                           "nonce": base64.b64encode(hashlib.sha256(params.encode()).digest()).decode()})

    def set_policy(self, ident, text):
        self.asked.append(("policy", ident))
        text = unb64u(text).decode()
        if "package" not in text:
            raise Refusal("Set Attestation Policy Failed: Failed to load policy: \n--> :1:1\n  |\n1 | "
                          "not rego\n  | ^\nerror: expecting `package` Missing package declaration.")
        self.policies[ident] = text

    def register(self, message):
        self.asked.append(("register", message))
        message = json.loads(message)
        if message["version"] != "0.1.0":
            raise Refusal("Register reference value: unsupported version")
        self.values.update(json.loads(base64.b64decode(message["payload"])))

    def query(self, name):
        self.asked.append(("query", name))
        return json.dumps(self.values[name]) if name in self.values else None


# ---- certificates for TLS ------------------------------------------------------------------------


def make_pki(vault):
    """Files of a CA, a server for 127.0.0.1, and a client; and of a client that nobody knows."""
    def run(*command):
        subprocess.run(["openssl", *command], check=True, capture_output=True)

    path = vault.path
    for name in ("as-ca", "stranger-ca"):
        run("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
            "-keyout", path(name + ".key"), "-out", path(name + ".crt"), "-subj", f"/CN={name}")
    for name, ca, extra in (("as-server", "as-ca", "subjectAltName=IP:127.0.0.1"),
                            ("as-client", "as-ca", "extendedKeyUsage=clientAuth"),
                            ("stranger", "stranger-ca", "extendedKeyUsage=clientAuth")):
        run("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout",
            path(name + ".key"), "-out", path(name + ".csr"), "-subj", f"/CN={name}")
        with open(path(name + ".ext"), "w", encoding="ascii") as file:
            file.write(extra + "\n")
        run("x509", "-req", "-in", path(name + ".csr"), "-CA", path(ca + ".crt"), "-CAkey",
            path(ca + ".key"), "-CAcreateserial", "-days", "2", "-extfile", path(name + ".ext"),
            "-out", path(name + ".crt"))


def server_tls(vault):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(vault.path("as-server.crt"), vault.path("as-server.key"))
    context.load_verify_locations(vault.path("as-ca.crt"))
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_tls(vault):
    """What the broker's configuration says for it."""
    return {"as_ca_cert": vault.path("as-ca.crt"), "as_client_cert": vault.path("as-client.crt"),
            "as_client_key": vault.path("as-client.key")}


# ---- REST ----------------------------------------------------------------------------------------


class RestHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def setup(self):
        super().setup()
        self.server.connections += 1

    def answer(self, status, text):
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.misbehave:
            self.close_connection = True
            self.server.misbehave(self)
            return
        try:
            self.answer(200, self.ask(json.loads(raw)) or "")
        except Refusal as refusal:
            self.answer(500, f"An internal error occured: \n0: {refusal}")
        except (KeyError, TypeError) as error:
            self.answer(400, f"Json deserialize error: {error}")

    def ask(self, body):
        appraiser = self.server.appraiser
        assert self.headers["Content-Type"] == "application/json"
        if self.path == "/attestation":
            return appraiser.evaluate([{
                "tee": p["tee"], "evidence": p["evidence"], "runtime": p["runtime_data"]["structured"],
                "hash": p["runtime_data_hash_algorithm"],
                "init_data": (p["init_data"] or {}).get("init_data_toml")}
                for p in body["verification_requests"]], body["policy_ids"])
        if self.path == "/challenge":
            return appraiser.challenge(body["tee"], body["tee_params"])
        if self.path == "/policy":
            return appraiser.set_policy(body["policy_id"], body["policy"])
        raise Refusal("no such path " + self.path)


class RestService:
    kind = "rest"

    def __init__(self, appraiser, port=0, tls=None):
        self.appraiser, self.port, self.tls, self.server = appraiser, port, tls, None
        self.misbehave = None
        self.start()

    def start(self):
        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 64
            connections = 0
            open_sockets = set()

            def handle_error(self, *_):
                pass

            def get_request(self):
                sock, address = super().get_request()
                self.open_sockets.add(sock)
                return sock, address

        server = Server(("127.0.0.1", self.port), RestHandler)
        server.appraiser, server.misbehave, server.connections = self.appraiser, self.misbehave, 0
        server.open_sockets = set()
        if self.tls:
            server.socket = self.tls.wrap_socket(server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.port = server.server_address[1]
        self.server = server
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def connections(self):
        return self.server.connections

    def set_misbehave(self, what):
        self.misbehave = self.server.misbehave = what

    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        for sock in self.server.open_sockets:
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


# ---- protobuf by hand ----------------------------------------------------------------------------


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(data):
    """[(number, bytes)] of a message that has length-delimited fields only."""
    found, at = [], 0

    def number():
        nonlocal at
        n, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n

    while at < len(data):
        tag = number()
        assert tag & 7 == 2, tag
        length = number()
        assert at + length <= len(data)
        found.append((tag >> 3, data[at:at + length]))
        at += length
    return found


def texts(data):
    return {n: v.decode() for n, v in fields(data)}


def answer_of(appraiser, path, request):
    """The message that answers a message; Refusal."""
    call = path.rsplit("/", 1)[1]
    if call == "AttestationEvaluate":
        pieces = []
        for n, value in fields(request):
            if n == 1:
                piece = texts(value)
                assert set(piece) <= {1, 3, 5, 7, 8}, piece
                pieces.append({"tee": piece[1], "evidence": piece[3], "runtime": json.loads(piece[5]),
                               "init_data": piece.get(7), "hash": piece[8]})
        return field(1, appraiser.evaluate(pieces, [v.decode() for n, v in fields(request) if n == 2]))
    if call == "GetAttestationChallenge":
        entries = [texts(v) for _, v in fields(request)]
        inner = {e[1]: e[2] for e in entries}
        challenge = appraiser.challenge(inner["tee"], inner["tee_params"])
        return field(1, challenge) if challenge else b""
    if call == "SetAttestationPolicy":
        policy = texts(request)
        appraiser.set_policy(policy[1], policy[2])
        return b""
    if call == "RegisterReferenceValue":
        appraiser.register(texts(request)[1])
        return b""
    if call == "QueryReferenceValue":
        value = appraiser.query(texts(request)[1])
        return b"" if value is None else field(1, value)
    raise Refusal("no such call " + path)


# ---- gRPC by Google's library ----------------------------------------------------------------------


class GrpcService:
    kind = "grpc"

    def __init__(self, appraiser, port=0, tls=None, options=()):
        self.appraiser, self.port, self.tls, self.options = appraiser, port, tls, list(options)
        self.peers, self.timeouts = set(), []
        self.start()

    def start(self):
        import grpc
        from concurrent import futures
        service = self

        class Handler(grpc.GenericRpcHandler):
            def service(self, details):
                def call(request, context):
                    service.peers.add(context.peer())
                    service.timeouts.append(context.time_remaining())
                    try:
                        return answer_of(service.appraiser, details.method, request)
                    except Refusal as refusal:
                        context.abort(grpc.StatusCode.ABORTED, str(refusal))
                return grpc.unary_unary_rpc_method_handler(call)

        # Without reuse, a second service on the port would be seen at once.
        self.server = grpc.server(futures.ThreadPoolExecutor(32), handlers=(Handler(),),
                                  options=[("grpc.so_reuseport", 0), *self.options])
        address = f"127.0.0.1:{self.port}"
        if self.tls:
            def read(name):
                with open(self.tls.path(name), "rb") as file:
                    return file.read()
            self.port = self.server.add_secure_port(address, grpc.ssl_server_credentials(
                [(read("as-server.key"), read("as-server.crt"))], read("as-ca.crt"), True))
        else:
            self.port = self.server.add_insecure_port(address)
        self.server.start()

    @property
    def connections(self):
        return len(self.peers)

    def url(self):
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def stop(self):
        self.server.stop(0).wait()


# ---- gRPC frame by frame ---------------------------------------------------------------------------

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
WINDOW_UPDATE, CONTINUATION = 8, 9
END_STREAM, END_HEADERS, ACK = 1, 4, 1


def h2_frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def hpack_length(n):
    if n < 127:
        return bytes([n])
    return bytes([127]) + varint(n - 127)


def hpack(*pairs):
    """Literal header fields, neither indexed nor compressed."""
    out = b""
    for name, value in pairs:
        name, value = name.encode(), value.encode()
        out += b"\x00" + hpack_length(len(name)) + name + hpack_length(len(value)) + value
    return out


def h2_headers(stream, pairs, flags=END_HEADERS):
    return h2_frame(HEADERS, flags, stream, hpack(*pairs))


def grpc_frame(message, flag=0, length=None):
    return struct.pack(">BI", flag, len(message) if length is None else length) + message


HEAD = [(":status", "200"), ("content-type", "application/grpc")]
OK = [("grpc-status", "0")]


class Exchange:
    """One request that came in, and what to say to it."""

    def __init__(self, service, sock, stream, path, message):
        self.service, self.sock, self.stream = service, sock, stream
        self.path, self.message = path, message
        self.stays = False

    def send(self, data):
        self.sock.sendall(data)

    def head(self, pairs=None, flags=END_HEADERS):
        self.send(h2_headers(self.stream, HEAD if pairs is None else pairs, flags))

    def data(self, data, flags=0):
        for at in range(0, max(len(data), 1), 16384):
            last = at + 16384 >= len(data)
            self.send(h2_frame(DATA, flags if last else 0, self.stream, data[at:at + 16384]))

    def trailers(self, pairs=None):
        self.head(OK if pairs is None else pairs, END_HEADERS | END_STREAM)

    def answer(self, message, head=None, trailers=None):
        self.head(head)
        self.data(grpc_frame(message))
        self.trailers(trailers)

    def keep(self):
        """The connection stays, as a sound service's does. (A close at once is a reset where bytes were not read yet,
        and overtakes the answer.)"""
        self.stays = True

    def honest(self):
        """The message of the right answer."""
        return answer_of(self.service.appraiser, self.path, self.message)


class HandMadeGrpc:
    kind = "grpc"

    def __init__(self, appraiser):
        self.appraiser, self.misbehave, self.connections = appraiser, None, 0
        self.window = True  # a large one, for connections to come
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def set_misbehave(self, what):
        self.misbehave = what

    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def stop(self):
        self.listener.close()

    @staticmethod
    def path_of(message):
        """Paths are not taken out of HPACK. A challenge is entries of key and value, and nothing else."""
        challenge = all(n == 1 and set(texts(value)) <= {1, 2} for n, value in fields(message))
        return "/GetAttestationChallenge" if challenge else "/AttestationEvaluate"

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def serve(self, sock):
        try:
            with sock:
                self.talk(sock)
        except (OSError, EOFError):
            pass

    def talk(self, sock):
        def read(n):
            data = b""
            while len(data) < n:
                part = sock.recv(n - len(data))
                if not part:
                    raise EOFError
                data += part
            return data

        assert read(len(PREFACE)) == PREFACE
        sock.sendall(h2_frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 2**31 - 1 if self.window else 65535)))
        if self.window:
            sock.sendall(h2_frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", 2**31 - 1 - 65535)))
        body = b""
        while True:
            head = read(9)
            kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0] & 0x7fffffff
            payload = read(int.from_bytes(head[:3], "big"))
            if kind == SETTINGS and not flags & ACK:
                sock.sendall(h2_frame(SETTINGS, ACK, 0))
            if kind == PING and not flags & ACK:
                sock.sendall(h2_frame(PING, ACK, 0, payload))
            if kind == DATA:
                body += payload
            if kind in (DATA, HEADERS) and flags & END_STREAM:
                exchange = Exchange(self, sock, stream, self.path_of(body[5:]), body[5:])
                assert struct.unpack(">BI", body[:5]) == (0, len(body) - 5)
                body = b""
                if self.misbehave:
                    self.misbehave(exchange)
                    if exchange.stays:
                        continue
                    return
                try:
                    exchange.answer(exchange.honest())
                except Refusal as refusal:
                    exchange.head(HEAD + [("grpc-status", "10"), ("grpc-message", urllib.parse.quote(str(refusal)))],
                                  END_HEADERS | END_STREAM)
