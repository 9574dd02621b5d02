"""A client of the SATHub interface that shares no code with us.

usage: cliente.py BASE < sale.xml

It sells, asks about the sale in every way, cancels it, and prints one line per
answer: HTTP status, funcao, session, code, number of fields.
"""
import json
import sys
import urllib.error
import urllib.parse
import urllib.request

base = sys.argv[1]
sale = sys.stdin.buffer.read().decode("utf-8")


def post(path, **fields):
    body = urllib.parse.urlencode(fields).encode("ascii")
    try:
        with urllib.request.urlopen(base + "/hub/v1/" + path, body, timeout=10) as r:
            status, raw = r.status, r.read()
    except urllib.error.HTTPError as e:
        status, raw = e.code, e.read()
    answer = json.loads(raw.decode("ascii"))
    if status != 200:
        print(status, answer["funcao"], answer["erro"])
        return []
    reply = answer["retorno"].split("|")
    print(status, answer["funcao"], reply[0], reply[1], len(reply))
    return reply


post("consultarsat", numero_caixa="7")
sold = post("enviardadosvenda", numero_caixa="7", dados_venda=sale)
post("consultarnumerosessao", numero_caixa="7", numero_sessao=sold[0])
post("consultarultimasessaofiscal", numero_caixa="7")
cancel = ('<CFeCanc><infCFe chCanc="%s"><ide><CNPJ>16716114000172</CNPJ>'
          '<signAC>SGR-SAT SISTEMA DE GESTAO E RETAGUARDA DO SAT</signAC>'
          '<numeroCaixa>007</numeroCaixa></ide><emit/><dest/><total/></infCFe></CFeCanc>') % sold[8]
post("cancelarultimavenda", numero_caixa="7", chave_cfe=sold[8], dados_cancelamento=cancel)
post("consultarstatusoperacional", numero_caixa="7")
post("enviardadosvenda", numero_caixa="7")
