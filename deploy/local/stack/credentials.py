"""The credentials file of ingest: one user with a password, one API key. Hashes only; the secrets
themselves lie beside it in the instance's secrets."""
import ctypes
import ctypes.util
import hashlib
from pathlib import Path
from .base import Fail
from .instance import Instance, write_private

USER = "demo"


def _yescrypt(password: str) -> str:
    """libcrypt's own: Python's crypt module is gone from 3.13 on."""
    lib = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1")
    lib.crypt_gensalt.restype = lib.crypt.restype = ctypes.c_char_p
    lib.crypt_gensalt.argtypes = [ctypes.c_char_p, ctypes.c_ulong, ctypes.c_char_p, ctypes.c_int]
    lib.crypt.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    salt = lib.crypt_gensalt(b"$y$", 0, None, 0)
    text = lib.crypt(password.encode(), salt) if salt else None
    if not text or not text.startswith(b"$y$"):
        raise Fail("libcrypt has no yescrypt")
    return text.decode()


def make_file(i: Instance) -> Path:
    """Write the file once; `id:secret:tenant:scopes` a line."""
    path = i.path("secrets", "credentials")
    if not path.exists():
        key = hashlib.sha256(i.secret("ingest_api_key").encode()).hexdigest()
        write_private(path, f"{USER}:{_yescrypt(i.secret('ingest_password'))}:{USER}:*\n"
                            f"{USER}-key:sha256$${key}:{USER}:*\n")
    return path
