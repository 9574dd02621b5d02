"""A POS program in Python, bound with ctypes as satcfe is: ctypes_host.py LIBRARY.

It makes three calls, prints each reply and the library's version.
"""
import ctypes
import sys

lib = ctypes.CDLL(sys.argv[1])
for name in ("ConsultarSAT", "EnviarDadosVenda", "TrocarCodigoDeAtivacao", "VersaoLib"):
    getattr(lib, name).restype = ctypes.c_char_p

print(lib.ConsultarSAT(ctypes.c_int(101341)).decode("utf-8", "strict"))
print(lib.EnviarDadosVenda(ctypes.c_int(123456), b"12345678", "<CFe>pão</CFe>".encode("utf-8")).decode("utf-8", "strict"))
print(lib.TrocarCodigoDeAtivacao(ctypes.c_int(7), b"12345678", ctypes.c_int(1), b"87654321", None).decode("utf-8", "strict"))
print(lib.VersaoLib().decode("ascii"))
