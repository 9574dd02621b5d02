//go:build ignore

// Socket, till name and deadlines. Later sources win:
//
//   1. built in: /run/zelo/sat.sock, till 001, the table below
//   2. the file /etc/zelo/sat.ini, or the one named by ZELO_INI: lines
//      "socket = PATH", "caixa = NAME", "prazo.FUNCTION = SECONDS" (1 to 7200);
//      ";" and "#" begin comments, section titles and unknown keys are passed over
//   3. the environment: ZELO_SOCKET, ZELO_CAIXA
//
// Read once, at the first call. A value that cannot be used is passed over too:
// a till that cannot read a message of ours must not stop selling for one.
#include "zelo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

// Deadlines: the slowest maker's (dossier 1.8); the agent has the same table.
static const struct {
  const char *name;
  uint32_t seconds;
} functions[FUNCTIONS_END] = {
    [ATIVAR_SAT] = {"AtivarSAT", 1800},
    [COMUNICAR_CERTIFICADO] = {"ComunicarCertificadoICPBRASIL", 600},
    [ENVIAR_DADOS_VENDA] = {"EnviarDadosVenda", 60},
    [CANCELAR_ULTIMA_VENDA] = {"CancelarUltimaVenda", 40},
    [CONSULTAR_SAT] = {"ConsultarSAT", 10},
    [TESTE_FIM_A_FIM] = {"TesteFimAFim", 40},
    [CONSULTAR_STATUS_OPERACIONAL] = {"ConsultarStatusOperacional", 20},
    [CONSULTAR_NUMERO_SESSAO] = {"ConsultarNumeroSessao", 40},
    [CONFIGURAR_INTERFACE_DE_REDE] = {"ConfigurarInterfaceDeRede", 120},
    [ASSOCIAR_ASSINATURA] = {"AssociarAssinatura", 1800},
    [ATUALIZAR_SOFTWARE_SAT] = {"AtualizarSoftwareSAT", 3600},
    [EXTRAIR_LOGS] = {"ExtrairLogs", 180},
    [BLOQUEAR_SAT] = {"BloquearSAT", 1200},
    [DESBLOQUEAR_SAT] = {"DesbloquearSAT", 300},
    [TROCAR_CODIGO_DE_ATIVACAO] = {"TrocarCodigoDeAtivacao", 40},
    [CONSULTAR_ULTIMA_SESSAO_FISCAL] = {"ConsultarUltimaSessaoFiscal", 40},
};

static struct config config;
static int loaded;

static void set_text(char *to, size_t room, const char *value) {
  size_t size = value ? strlen(value) : 0;
  if (size > 0 && size < room) memcpy(to, value, size + 1);
}

static void set_deadline(const char *function, const char *value) {
  char *rest;
  long seconds = strtol(value, &rest, 10);
  if (*rest || seconds < 1 || seconds > 7200) return;
  for (int f = ATIVAR_SAT; f < FUNCTIONS_END; f++)
    if (strcasecmp(function, functions[f].name) == 0) config.deadline_ms[f] = (uint32_t)seconds * 1000;
}

static void set(const char *key, const char *value) {
  if (strcasecmp(key, "socket") == 0) set_text(config.socket, sizeof config.socket, value);
  if (strcasecmp(key, "caixa") == 0) set_text(config.till, sizeof config.till, value);
  if (strncasecmp(key, "prazo.", 6) == 0) set_deadline(key + 6, value);
}

static char *trim(char *s) {
  s += strspn(s, " \t\r\n");
  size_t size = strlen(s);
  while (size > 0 && strchr(" \t\r\n", s[size - 1])) s[--size] = 0;
  return s;
}

static void read_line(char *line) {
  if (strncmp(line, "\xEF\xBB\xBF", 3) == 0) line += 3; // written by Notepad
  line = trim(line);
  char *equals = strchr(line, '=');
  if (!equals || *line == ';' || *line == '#') return;
  *equals = 0;
  set(trim(line), trim(equals + 1));
}

static void read_file(const char *path) {
  FILE *file = fopen(path, "re");
  char line[512];
  if (!file) return;
  while (fgets(line, sizeof line, file)) read_line(line);
  fclose(file);
}

static void load(void) {
  set_text(config.socket, sizeof config.socket, "/run/zelo/sat.sock");
  set_text(config.till, sizeof config.till, "001");
  for (int f = ATIVAR_SAT; f < FUNCTIONS_END; f++) config.deadline_ms[f] = functions[f].seconds * 1000;
  const char *path = getenv("ZELO_INI");
  read_file(path ? path : "/etc/zelo/sat.ini");
  set_text(config.socket, sizeof config.socket, getenv("ZELO_SOCKET"));
  set_text(config.till, sizeof config.till, getenv("ZELO_CAIXA"));
}

const struct config *config_get(void) {
  os_lock();
  if (!loaded) load();
  loaded = 1;
  os_unlock();
  return &config;
}
