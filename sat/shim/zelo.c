//go:build ignore

// The exported functions and the story of one call.
#include "zelo.h"

#include <stdio.h>
#include <stdlib.h>

// The 32-bit Windows builds put their calling convention here.
#define EXPORT __attribute__((visibility("default")))

#define GREETING_MS 5000 // for the agent to greet; a live one does at once
#define ID 1             // the only call of its connection

static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

// reach connects to the agent and hears its greeting. Until it succeeds the
// agent has received nothing.
static int reach(const struct config *cfg, int64_t deadline, int *conn) {
  int64_t until = sooner(deadline, os_now() + GREETING_MS);
  unsigned char greeting[GREETING_FRAME];
  if (!os_connect(cfg->socket, until, conn)) return 0;
  if (os_receive(*conn, greeting, sizeof greeting, until) && frame_greeting(greeting)) return 1;
  os_disconnect(*conn);
  return 0;
}

// left is the time the agent is given: ours less a margin, so that its "time is
// over" still finds us listening.
static uint32_t left(int64_t deadline) {
  int64_t ms = deadline - os_now();
  if (ms <= 0) return 0;
  return (uint32_t)(ms - sooner(ms / 5, 200));
}

// ask sends the call. *sent tells how many bytes may have reached the agent.
static int ask(int conn, struct call *c, int64_t deadline, size_t *sent) {
  struct buffer b = {0};
  int done = 0;
  *sent = 0;
  c->left_ms = left(deadline);
  frame_hello(&b, ZELO_LIBRARY, os_process(), os_pid());
  frame_call(&b, c);
  if (!b.failed && c->left_ms > 0) done = os_send(conn, b.bytes, b.used, deadline, sent);
  frame_free(&b);
  return done;
}

// receive waits for the answer; the caller frees *frame, which *a points into.
static int receive(int conn, int64_t deadline, struct answer *a, unsigned char **frame) {
  unsigned char head[4];
  uint32_t length;
  if (!os_receive(conn, head, sizeof head, deadline) || !frame_length(head, &length)) return 0;
  *frame = malloc(length);
  return *frame && os_receive(conn, *frame, length, deadline) && frame_answer(*frame, length, ID, a);
}

// confirm tells the agent that the reply is in the till's hands. Nobody waits.
static void confirm(int conn, int64_t deadline) {
  struct buffer b = {0};
  size_t sent;
  frame_taken(&b, ID);
  if (!b.failed) os_send(conn, b.bytes, b.used, deadline, &sent);
  frame_free(&b);
}

// converse makes the call on a greeted connection.
static char *converse(int conn, struct call *c, int64_t deadline) {
  size_t sent;
  struct answer a;
  unsigned char *frame = NULL;
  char *reply = NULL;
  if (!ask(conn, c, deadline, &sent))
    return sent == 0 ? reply_unsent(c->function, c->session) : reply_unknown(c->function, c->session);
  if (receive(conn, deadline, &a, &frame)) {
    if (a.is_reply) reply = reply_keep(a.text, a.size);
    else if (a.not_issued) reply = reply_unsent(c->function, c->session);
    if (a.is_reply && reply) confirm(conn, deadline);
  }
  free(frame);
  return reply ? reply : reply_unknown(c->function, c->session);
}

static char *perform(enum function f, int32_t session, const char *const *args, int count) {
  const struct config *cfg = config_get();
  int64_t deadline = os_now() + cfg->deadline_ms[f];
  struct call c = {.id = ID, .function = f, .session = session, .till = cfg->till, .args = args, .count = count};
  int conn;
  if (!reach(cfg, deadline, &conn)) return reply_unsent(f, session);
  char *reply = converse(conn, &c, deadline);
  os_disconnect(conn);
  return reply;
}

struct decimal {
  char digits[12];
};

static const char *decimal(struct decimal *d, int n) {
  snprintf(d->digits, sizeof d->digits, "%d", n);
  return d->digits;
}

#define PERFORM(f, session, ...)                                                 \
  do {                                                                           \
    const char *const args[] = {__VA_ARGS__};                                    \
    return perform(f, session, args, (int)(sizeof args / sizeof args[0]));       \
  } while (0)

EXPORT char *AtivarSAT(int numeroSessao, int subComando, char *codigoDeAtivacao, char *CNPJ, int cUF) {
  struct decimal sub, uf;
  PERFORM(ATIVAR_SAT, numeroSessao, decimal(&sub, subComando), codigoDeAtivacao, CNPJ, decimal(&uf, cUF));
}

EXPORT char *ComunicarCertificadoICPBRASIL(int numeroSessao, char *codigoDeAtivacao, char *certificado) {
  PERFORM(COMUNICAR_CERTIFICADO, numeroSessao, codigoDeAtivacao, certificado);
}

EXPORT char *EnviarDadosVenda(int numeroSessao, char *codigoDeAtivacao, char *dadosVenda) {
  PERFORM(ENVIAR_DADOS_VENDA, numeroSessao, codigoDeAtivacao, dadosVenda);
}

EXPORT char *CancelarUltimaVenda(int numeroSessao, char *codigoDeAtivacao, char *chave, char *dadosCancelamento) {
  PERFORM(CANCELAR_ULTIMA_VENDA, numeroSessao, codigoDeAtivacao, chave, dadosCancelamento);
}

EXPORT char *ConsultarSAT(int numeroSessao) { return perform(CONSULTAR_SAT, numeroSessao, NULL, 0); }

EXPORT char *TesteFimAFim(int numeroSessao, char *codigoDeAtivacao, char *dadosVenda) {
  PERFORM(TESTE_FIM_A_FIM, numeroSessao, codigoDeAtivacao, dadosVenda);
}

EXPORT char *ConsultarStatusOperacional(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(CONSULTAR_STATUS_OPERACIONAL, numeroSessao, codigoDeAtivacao);
}

EXPORT char *ConsultarNumeroSessao(int numeroSessao, char *codigoDeAtivacao, int cNumeroDeSessao) {
  struct decimal asked;
  PERFORM(CONSULTAR_NUMERO_SESSAO, numeroSessao, codigoDeAtivacao, decimal(&asked, cNumeroDeSessao));
}

EXPORT char *ConfigurarInterfaceDeRede(int numeroSessao, char *codigoDeAtivacao, char *dadosConfiguracao) {
  PERFORM(CONFIGURAR_INTERFACE_DE_REDE, numeroSessao, codigoDeAtivacao, dadosConfiguracao);
}

EXPORT char *AssociarAssinatura(int numeroSessao, char *codigoDeAtivacao, char *CNPJvalue, char *assinaturaCNPJs) {
  PERFORM(ASSOCIAR_ASSINATURA, numeroSessao, codigoDeAtivacao, CNPJvalue, assinaturaCNPJs);
}

EXPORT char *AtualizarSoftwareSAT(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(ATUALIZAR_SOFTWARE_SAT, numeroSessao, codigoDeAtivacao);
}

EXPORT char *ExtrairLogs(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(EXTRAIR_LOGS, numeroSessao, codigoDeAtivacao);
}

EXPORT char *BloquearSAT(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(BLOQUEAR_SAT, numeroSessao, codigoDeAtivacao);
}

EXPORT char *DesbloquearSAT(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(DESBLOQUEAR_SAT, numeroSessao, codigoDeAtivacao);
}

EXPORT char *TrocarCodigoDeAtivacao(int numeroSessao, char *codigoDeAtivacao, int opcao, char *novoCodigo, char *confNovoCodigo) {
  struct decimal option;
  PERFORM(TROCAR_CODIGO_DE_ATIVACAO, numeroSessao, codigoDeAtivacao, decimal(&option, opcao), novoCodigo, confNovoCodigo);
}

EXPORT char *ConsultarUltimaSessaoFiscal(int numeroSessao, char *codigoDeAtivacao) {
  PERFORM(CONSULTAR_ULTIMA_SESSAO_FISCAL, numeroSessao, codigoDeAtivacao);
}

// Two extras of several makers that tills are known to use (dossier 1.4).

// GeraNumeroSessao counts up from a random number of six digits, so that none
// comes back within the hundred that a device remembers.
EXPORT int GeraNumeroSessao(void) {
  static uint32_t last, pid;
  os_lock();
  if (pid != os_pid()) { // first use, or a child that must not follow its parent
    pid = os_pid();
    last = os_random() % 900000;
  }
  last = (last + 1) % 900000;
  int session = 100000 + (int)last;
  os_unlock();
  return session;
}

EXPORT char *VersaoLib(void) {
  static char version[] = ZELO_LIBRARY;
  return version;
}
