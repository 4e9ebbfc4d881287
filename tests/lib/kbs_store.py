"""Stores of Trustee's KBS in each layout that it had, made in files. Values are bytes by namespace and
key: {"repository": {"default/key/1": b"..."}, "kbs": {"resource-policy.rego": b"..."}, ...}."""

import base64
import json
import os

POLICY = "kbs", "resource-policy.rego"


def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)


def local_fs(root, spaces):
    """One file a key, each slash written as the four characters \\x2F."""
    for space, values in spaces.items():
        os.makedirs(os.path.join(root, space), exist_ok=True)
        for key, value in values.items():
            write(os.path.join(root, space, key.replace("/", "\\x2F")), value)
    return root


def local_json(root, spaces):
    """One file a namespace, values in the URL-safe alphabet with padding."""
    os.makedirs(root, exist_ok=True)
    for space, values in spaces.items():
        text = {key: base64.urlsafe_b64encode(value).decode() for key, value in values.items()}
        write(os.path.join(root, space), json.dumps(text).encode())
    return root


def nested(root, values):
    """Folders, as until v0.18; root is the repository."""
    for key, value in values.items():
        write(os.path.join(root, key), value)
    return root


def mounted_secret(folder, values, stamp="..2026_05_20_10_00_00.123456789"):
    """A Secret as Kubernetes' atomic writer mounts it."""
    for key, value in values.items():
        write(os.path.join(folder, stamp, key), value)
    os.symlink(stamp, os.path.join(folder, "..data"))
    for key in values:
        os.symlink(os.path.join("..data", key), os.path.join(folder, key))
    return folder


def reference_value(name, value, expiration="2090-01-31T12:00:00Z"):
    return json.dumps({"version": "0.1.0", "name": name, "expiration": expiration,
                       "value": value}).encode()
