// A maker's library for the tests, with a device that remembers everything. It
// lives in the folder named by FAKE_SAT:
//
//   calls   one line for each call: FUNCTION SESSION ARG|ARG...
//   sales   one line for each document issued: KEY SESSION
//   mode    what goes wrong: null, crash, hang (until the mode changes), busy,
//           text (no reply at all), short (three fields), latin (accents and a
//           line end)
//
// Built with MAKER_STDCALL its functions take their arguments off the stack.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
static void pause_ms(int ms) { Sleep((DWORD)ms); }
#else
#include <unistd.h>
#define EXPORT
static void pause_ms(int ms) { usleep((useconds_t)ms * 1000); }
#endif
#ifdef MAKER_STDCALL
#define CALL __stdcall
#else
#define CALL
#endif

static FILE *open_in_folder(const char *name, const char *how) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s", getenv("FAKE_SAT"), name);
  return fopen(path, how);
}

static int mode(const char *wanted) {
  char is[32] = "";
  FILE *file = open_in_folder("mode", "r");
  if (!file) return 0;
  if (!fgets(is, sizeof is, file)) is[0] = 0;
  fclose(file);
  return strcmp(is, wanted) == 0;
}

static int lines(const char *name) {
  int n = 0, c;
  FILE *file = open_in_folder(name, "rb");
  if (!file) return 0;
  while ((c = fgetc(file)) != EOF) n += c == '\n';
  fclose(file);
  return n;
}

static void note(const char *name, const char *line) {
  FILE *file = open_in_folder(name, "ab");
  if (!file) exit(97);
  fprintf(file, "%s\n", line);
  fclose(file);
}

static char reply[1 << 20];

static char *base64(char *to, const char *from) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (size_t left = strlen(from); left > 0; left -= left < 3 ? left : 3, from += 3) {
    unsigned a = (unsigned char)from[0], b = left > 1 ? (unsigned char)from[1] : 0, c = left > 2 ? (unsigned char)from[2] : 0;
    *to++ = digits[a >> 2];
    *to++ = digits[(a & 3) << 4 | b >> 4];
    *to++ = left > 1 ? digits[(b & 15) << 2 | c >> 6] : '=';
    *to++ = left > 2 ? digits[c & 63] : '=';
  }
  *to = 0;
  return to;
}

// A function of ours that has the same name in the library it is tested with. A
// call from within must come here.
EXPORT char *CALL VersaoLib(void) {
  static char version[] = "fake 1";
  return version;
}

static char *issue(int session, int code) {
  char key[64], line[96], document[256];
  snprintf(key, sizeof key, "3526110872321800018659900004019%06d%06d%d", lines("sales") + 1, session, lines("sales") % 10);
  snprintf(line, sizeof line, "%s %d", key, session);
  note("sales", line);
  snprintf(document, sizeof document, "<CFe><infCFe Id=\"CFe%s\"></infCFe></CFe>", key);
  char *at = reply + sprintf(reply, "%06d|%05d|0000|Emitido com %s|||", session, code, VersaoLib());
  at = base64(at, document);
  at += sprintf(at, "|20261121102030|CFe%s|1.00||", key);
  memset(at, 'Q', 344);
  at[344] = 0;
  return reply;
}

static char *answer(const char *name, int prefix, int session, const char *args) {
  char line[4096];
  int fiscal = prefix == 6 || prefix == 7;
  const char *alert = fiscal ? "0000|" : "";
  snprintf(line, sizeof line, "%s %d %s", name, session, args);
  note("calls", line);
  if (mode("crash")) abort();
  while (mode("hang")) pause_ms(10);
  if (mode("null")) return NULL;
  if (mode("text")) return strcpy(reply, "Error [2] openning serial COM3");
  if (mode("short")) snprintf(reply, sizeof reply, "000000|00000|Erro ao abrir USB.");
  else if (mode("busy")) snprintf(reply, sizeof reply, "%06d|%02d098|%sSAT em processamento||", session, prefix, alert);
  else if (mode("latin")) snprintf(reply, sizeof reply, "%06d|%02d098|%sSAT em opera\xe7\xe3o\n||", session, prefix, alert);
  else if (fiscal) return issue(session, prefix * 1000);
  else snprintf(reply, sizeof reply, "%06d|%02d001|ok||", session, prefix);
  return reply;
}

#define ANSWER(name, prefix, session, ...)                 \
  do {                                                     \
    char args[4000];                                       \
    snprintf(args, sizeof args, __VA_ARGS__);              \
    return answer(name, prefix, session, args);            \
  } while (0)

EXPORT char *CALL AtivarSAT(int s, int a, char *b, char *c, int d) { ANSWER("AtivarSAT", 4, s, "%d|%s|%s|%d", a, b, c, d); }
EXPORT char *CALL ComunicarCertificadoICPBRASIL(int s, char *a, char *b) { ANSWER("ComunicarCertificadoICPBRASIL", 5, s, "%s|%s", a, b); }
EXPORT char *CALL EnviarDadosVenda(int s, char *a, char *b) { ANSWER("EnviarDadosVenda", 6, s, "%s|%s", a, b); }
EXPORT char *CALL CancelarUltimaVenda(int s, char *a, char *b, char *c) { ANSWER("CancelarUltimaVenda", 7, s, "%s|%s|%s", a, b, c); }
EXPORT char *CALL ConsultarSAT(int s) { ANSWER("ConsultarSAT", 8, s, "%s", ""); }
EXPORT char *CALL TesteFimAFim(int s, char *a, char *b) { ANSWER("TesteFimAFim", 9, s, "%s|%s", a, b); }
EXPORT char *CALL ConsultarStatusOperacional(int s, char *a) { ANSWER("ConsultarStatusOperacional", 10, s, "%s", a); }
EXPORT char *CALL ConsultarNumeroSessao(int s, char *a, int b) { ANSWER("ConsultarNumeroSessao", 11, s, "%s|%d", a, b); }
EXPORT char *CALL ConfigurarInterfaceDeRede(int s, char *a, char *b) { ANSWER("ConfigurarInterfaceDeRede", 12, s, "%s|%s", a, b); }
EXPORT char *CALL AssociarAssinatura(int s, char *a, char *b, char *c) { ANSWER("AssociarAssinatura", 13, s, "%s|%s|%s", a, b, c); }
EXPORT char *CALL AtualizarSoftwareSAT(int s, char *a) { ANSWER("AtualizarSoftwareSAT", 14, s, "%s", a); }
EXPORT char *CALL ExtrairLogs(int s, char *a) { ANSWER("ExtrairLogs", 15, s, "%s", a); }
EXPORT char *CALL BloquearSAT(int s, char *a) { ANSWER("BloquearSAT", 16, s, "%s", a); }
EXPORT char *CALL DesbloquearSAT(int s, char *a) { ANSWER("DesbloquearSAT", 17, s, "%s", a); }
EXPORT char *CALL TrocarCodigoDeAtivacao(int s, char *a, int b, char *c, char *d) { ANSWER("TrocarCodigoDeAtivacao", 18, s, "%s|%d|%s|%s", a, b, c, d); }
#ifndef MAKER_OLD // the newest function is missing in old libraries
EXPORT char *CALL ConsultarUltimaSessaoFiscal(int s, char *a) { ANSWER("ConsultarUltimaSessaoFiscal", 19, s, "%s", a); }
#endif
