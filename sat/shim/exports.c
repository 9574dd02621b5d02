//go:build ignore

// The functions a till calls: the sixteen of the requirements document (dossier
// 1.1), those of mfe.dll, and extras of several makers.
#include "zelo.h"

struct decimal {
  char digits[12];
};

static const char *decimal(struct decimal *d, int n) {
  struct text t = TEXT(d->digits);
  text_number(&t, n, 1);
  return d->digits;
}

// six is the session of six digits that stands for one outside 0 to 999999: modulo
// 1,000,000, as a maker does (dossier 5.1) and the agent too.
static int six(int session) {
  session %= 1000000;
  return session < 0 ? session + 1000000 : session;
}

#define PERFORM(f, session, ...)                                                 \
  do {                                                                           \
    const char *const args[] = {__VA_ARGS__};                                    \
    return perform(f, six(session), args, (int)(sizeof args / sizeof args[0]));  \
  } while (0)

EXPORT char *CALL AtivarSAT(int numeroSessao, int subComando, char *codigoDeAtivacao, char *CNPJ, int cUF) {
  struct decimal sub, uf;
  PERFORM(ATIVAR_SAT, numeroSessao, decimal(&sub, subComando), codigoDeAtivacao, CNPJ, decimal(&uf, cUF));
}

EXPORT char *CALL ComunicarCertificadoICPBRASIL(int numeroSessao, char *codigoDeAtivacao, char *certificado) {
  PERFORM(COMUNICAR_CERTIFICADO, numeroSessao, codigoDeAtivacao, certificado);
}

EXPORT char *CALL EnviarDadosVenda(int numeroSessao, char *codigoDeAtivacao, char *dadosVenda) {
  PERFORM(ENVIAR_DADOS_VENDA, numeroSessao, codigoDeAtivacao, dadosVenda);
}

EXPORT char *CALL CancelarUltimaVenda(int numeroSessao, char *codigoDeAtivacao, char *chave, char *dadosCancelamento) {
  PERFORM(CANCELAR_ULTIMA_VENDA, numeroSessao, codigoDeAtivacao, chave, dadosCancelamento);
}

EXPORT char *CALL ConsultarSAT(int numeroSessao) { return perform(CONSULTAR_SAT, six(numeroSessao), NULL, 0); }

EXPORT char *CALL TesteFimAFim(int numeroSessao, char *codigoDeAtivacao, char *dadosVenda) {
  PERFORM(TESTE_FIM_A_FIM, numeroSessao, codigoDeAtivacao, dadosVenda);
}

EXPORT char *CALL ConsultarStatusOperacional(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(CONSULTAR_STATUS_OPERACIONAL, numeroSessao, codigoDeAtivacao);
}

EXPORT char *CALL ConsultarNumeroSessao(int numeroSessao, char *codigoDeAtivacao, int cNumeroDeSessao) {
  struct decimal asked;
  PERFORM(CONSULTAR_NUMERO_SESSAO, numeroSessao, codigoDeAtivacao, decimal(&asked, six(cNumeroDeSessao)));
}

EXPORT char *CALL ConfigurarInterfaceDeRede(int numeroSessao, char *codigoDeAtivacao, char *dadosConfiguracao) {
  PERFORM(CONFIGURAR_INTERFACE_DE_REDE, numeroSessao, codigoDeAtivacao, dadosConfiguracao);
}

EXPORT char *CALL AssociarAssinatura(int numeroSessao, char *codigoDeAtivacao, char *CNPJvalue, char *assinaturaCNPJs) {
  PERFORM(ASSOCIAR_ASSINATURA, numeroSessao, codigoDeAtivacao, CNPJvalue, assinaturaCNPJs);
}

EXPORT char *CALL AtualizarSoftwareSAT(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(ATUALIZAR_SOFTWARE_SAT, numeroSessao, codigoDeAtivacao);
}

EXPORT char *CALL ExtrairLogs(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(EXTRAIR_LOGS, numeroSessao, codigoDeAtivacao);
}

EXPORT char *CALL BloquearSAT(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(BLOQUEAR_SAT, numeroSessao, codigoDeAtivacao);
}

EXPORT char *CALL DesbloquearSAT(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(DESBLOQUEAR_SAT, numeroSessao, codigoDeAtivacao);
}

EXPORT char *CALL TrocarCodigoDeAtivacao(int numeroSessao, char *codigoDeAtivacao, int opcao, char *novoCodigo, char *confNovoCodigo) {
  struct decimal option;
  PERFORM(TROCAR_CODIGO_DE_ATIVACAO, numeroSessao, codigoDeAtivacao, decimal(&option, opcao), novoCodigo, confNovoCodigo);
}

EXPORT char *CALL ConsultarUltimaSessaoFiscal(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(CONSULTAR_ULTIMA_SESSAO_FISCAL, numeroSessao, codigoDeAtivacao);
}

// Extras that POS programs look up (dossier 1.4), in every build. Each has the
// parameters of the maker's header that names them. Where makers differ (the list
// of ports takes none at Dimep, one at Elgin) it has fewer: in the stdcall build
// a callee that takes too little off the stack harms no caller that keeps a frame
// pointer, one that takes too much harms all.

// GeraNumeroSessao counts up from a random number of six digits, so that none
// comes back within the hundred that a device remembers.
EXPORT int CALL GeraNumeroSessao(void) {
  static uint32_t last, pid;
  os_lock();
  if (pid != os_pid()) { // first use, or a child that must not follow its parent
    pid = os_pid();
    if (!os_random(&last, sizeof last)) last = (uint32_t)os_now() * 2654435761u ^ pid;
    last %= 900000;
  }
  last = (last + 1) % 900000;
  int session = 100000 + (int)last;
  os_unlock();
  return session;
}

static char version[] = ZELO_LIBRARY, nothing[] = "";

EXPORT char *CALL VersaoLib(void) { return version; }
EXPORT char *CALL VersaoDLL(void) { return version; }

// There is no port to open, no list of ports, no log and no timeout to set: the
// agent sees to all that. Nor does a string need to be freed or decoded.
EXPORT int CALL AbreSerialSAT(char *porta, int baud, int nBits, int paridade, int nStops) {
  (void)porta, (void)baud, (void)nBits, (void)paridade, (void)nStops;
  return 0;
}

EXPORT int CALL CloseSerial(void) { return 0; }
EXPORT char *CALL GetMapaPortasSAT(void) { return nothing; }
EXPORT char *CALL Base64ToAscii(void) { return nothing; }

EXPORT int CALL ConfiguraTimeout(long ms) {
  (void)ms;
  return 0;
}

EXPORT int CALL ArquivoLog(char *path) {
  (void)path;
  return 0;
}

EXPORT void CALL DesalocarString(char *reply) { (void)reply; }

// ZeloBiblioteca tells our libraries from a maker's; the bridge asks for it, so
// that it never leads back to us.
EXPORT int CALL ZeloBiblioteca(void) { return 1; }

#ifdef ZELO_MFE

// The additions of mfe.dll (dossier on the MFE, 4.1): two are SAT functions by
// another name. What the others do is known to the maker's driver only.

EXPORT char *CALL ConsultarStatusOperacionalMFE(int numeroSessao, char *codigoDeAtivacao) {
  return ConsultarStatusOperacional(numeroSessao, codigoDeAtivacao);
}

EXPORT char *CALL ConfigurarInterfaceDeRedeMFE(int numeroSessao, char *codigoDeAtivacao, char *dadosConfiguracao) {
  return ConfigurarInterfaceDeRede(numeroSessao, codigoDeAtivacao, dadosConfiguracao);
}

// The driver answers its own failures with 19099 and 60099 here.
EXPORT char *CALL ReiniciarMFE(int numeroSessao, char *codigoDeAtivacao) {
  (void)codigoDeAtivacao;
  return reply_not_offered(19, six(numeroSessao));
}

EXPORT char *CALL AtualizarDriverMFE(int numeroSessao) { return reply_not_offered(60, six(numeroSessao)); }

// No source gives these two a code.
EXPORT char *CALL EnviarStatusAC(int numeroSessao, char *codigoDeAtivacao, char *fabricante, char *versaoAC) {
  (void)codigoDeAtivacao, (void)fabricante, (void)versaoAC;
  return reply_not_offered(0, six(numeroSessao));
}

EXPORT char *CALL InformarProducaoMFE(int numeroSessao, char *codigoDeAtivacao, char *a, char *b) {
  (void)codigoDeAtivacao, (void)a, (void)b;
  return reply_not_offered(0, six(numeroSessao));
}

EXPORT int CALL openPort(void) { return 0; }
EXPORT int CALL openPortVel(void) { return 0; }
EXPORT int CALL closePort(void) { return 0; }

#endif
