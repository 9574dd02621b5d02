// A maker's library for the tests, with a device that remembers everything.
//
//   gcc -shared -fPIC -o libfabricante.so maker.c
//   i686-w64-mingw32-gcc -DMAKER_STDCALL -Wl,--kill-at -shared -o x.dll maker.c
//
// MAKER_STDCALL makes its functions take their arguments off the stack; without
// --kill-at they are then named Name@N. MAKER_OLD leaves the newest function out.
// The environment steers it:
//
//   FAKE_SAT         a folder, where it lives:
//       calls        one line for each call: FUNCTION SESSION ARG|ARG...
//       sales        one line for each document issued: KEY SESSION
//       mode         what goes wrong: null, crash, hang (until the mode changes),
//                    busy, text (no reply at all), short (three fields), latin
//                    (accents and a line end)
//   ZELO_MAKER_EXEC  a program that is the device: run as PROGRAM FUNCTION SESSION
//                    for each call, with each argument after the session, ended by
//                    NUL, on its standard input. What it writes on its standard
//                    output is the reply; nothing is NULL.
//
// Without ZELO_MAKER_EXEC its documents are no more than keys.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include <windows.h>
#define EXPORT __declspec(dllexport)
static void pause_ms(int ms) { Sleep((DWORD)ms); }
#else
#include <sys/wait.h>
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
  const char *folder = getenv("FAKE_SAT");
  if (!folder) return NULL;
  snprintf(path, sizeof path, "%s/%s", folder, name);
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

static char reply[8 << 20];

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
  char key[64], document[256];
  int number = lines("sales");
  snprintf(key, sizeof key, "3526110872321800018659900004019%06d%06d%d", number + 1, session, number % 10);
  FILE *sales = open_in_folder("sales", "ab");
  if (!sales) exit(97);
  fprintf(sales, "%s %d\n", key, session);
  fclose(sales);
  snprintf(document, sizeof document, "<CFe><infCFe Id=\"CFe%s\"></infCFe></CFe>", key);
  char *at = reply + sprintf(reply, "%06d|%05d|0000|Emitido com %s|||", session, code, VersaoLib());
  at = base64(at, document);
  at += sprintf(at, "|20261121102030|CFe%s|1.00||", key);
  memset(at, 'Q', 344);
  at[344] = 0;
  return reply;
}

static void note(const char *name, int session, const char *const *args, int count) {
  FILE *calls = open_in_folder("calls", "ab");
  if (!calls) return;
  fprintf(calls, "%s %d ", name, session);
  for (int i = 0; i < count; i++) fprintf(calls, "%s%s", i ? "|" : "", args[i] ? args[i] : "NULL");
  fprintf(calls, "\n");
  fclose(calls);
}

// forward has another program be the device.
#ifdef _WIN32
static char *forward(const char *program, const char *name, int session, const char *const *args, int count) {
  char folder[MAX_PATH], file[MAX_PATH], line[3 * MAX_PATH];
  FILE *in = NULL, *out;
  if (GetTempPathA(sizeof folder, folder) && GetTempFileNameA(folder, "sat", 0, file)) in = fopen(file, "wb");
  if (!in) exit(97);
  for (int i = 0; i < count; i++) fwrite(args[i], 1, strlen(args[i]) + 1, in);
  fclose(in);
  snprintf(line, sizeof line, "%s %s %d <%s", program, name, session, file);
  if (!(out = _popen(line, "rb"))) exit(97);
  size_t size = fread(reply, 1, sizeof reply - 1, out);
  _pclose(out);
  remove(file);
  reply[size] = 0;
  return size ? reply : NULL;
}
#else
static char *forward(const char *program, const char *name, int session, const char *const *args, int count) {
  char number[12];
  int out[2];
  size_t size = 0;
  ssize_t got;
  FILE *in = tmpfile();
  if (!in || pipe(out) != 0) exit(97);
  for (int i = 0; i < count; i++) fwrite(args[i], 1, strlen(args[i]) + 1, in);
  rewind(in);
  snprintf(number, sizeof number, "%d", session);
  pid_t child = fork();
  if (child == 0) {
    dup2(fileno(in), 0);
    dup2(out[1], 1);
    close(out[0]);
    execl(program, program, name, number, (char *)NULL);
    _exit(127);
  }
  close(out[1]);
  fclose(in);
  while ((got = read(out[0], reply + size, sizeof reply - 1 - size)) > 0) size += (size_t)got;
  close(out[0]);
  waitpid(child, NULL, 0);
  reply[size] = 0;
  return size ? reply : NULL;
}
#endif

static char *answer(const char *name, int prefix, int session, const char *const *args, int count) {
  int fiscal = prefix == 6 || prefix == 7;
  const char *alert = fiscal ? "0000|" : "";
  note(name, session, args, count);
  if (mode("crash")) abort();
  while (mode("hang")) pause_ms(10);
  if (mode("null")) return NULL;
  if (mode("text")) return strcpy(reply, "Error [2] openning serial COM3");
  if (getenv("ZELO_MAKER_EXEC")) return forward(getenv("ZELO_MAKER_EXEC"), name, session, args, count);
  if (mode("short")) snprintf(reply, sizeof reply, "000000|00000|Erro ao abrir USB.");
  else if (mode("busy")) snprintf(reply, sizeof reply, "%06d|%02d098|%sSAT em processamento||", session, prefix, alert);
  else if (mode("latin")) snprintf(reply, sizeof reply, "%06d|%02d098|%sSAT em opera\xe7\xe3o\n||", session, prefix, alert);
  else if (fiscal) return issue(session, prefix * 1000);
  else snprintf(reply, sizeof reply, "%06d|%02d001|ok||", session, prefix);
  return reply;
}

struct decimal {
  char digits[12];
};

static const char *decimal(struct decimal *d, int n) {
  snprintf(d->digits, sizeof d->digits, "%d", n);
  return d->digits;
}

#define INT(n) decimal(&(struct decimal){""}, n)
#define ANSWER(name, prefix, ...)                                            \
  do {                                                                       \
    const char *const args[] = {__VA_ARGS__};                                \
    return answer(name, prefix, s, args, (int)(sizeof args / sizeof *args)); \
  } while (0)

EXPORT char *CALL AtivarSAT(int s, int a, char *b, char *c, int d) { ANSWER("AtivarSAT", 4, INT(a), b, c, INT(d)); }
EXPORT char *CALL ComunicarCertificadoICPBRASIL(int s, char *a, char *b) { ANSWER("ComunicarCertificadoICPBRASIL", 5, a, b); }
EXPORT char *CALL EnviarDadosVenda(int s, char *a, char *b) { ANSWER("EnviarDadosVenda", 6, a, b); }
EXPORT char *CALL CancelarUltimaVenda(int s, char *a, char *b, char *c) { ANSWER("CancelarUltimaVenda", 7, a, b, c); }
EXPORT char *CALL ConsultarSAT(int s) { return answer("ConsultarSAT", 8, s, NULL, 0); }
EXPORT char *CALL TesteFimAFim(int s, char *a, char *b) { ANSWER("TesteFimAFim", 9, a, b); }
EXPORT char *CALL ConsultarStatusOperacional(int s, char *a) { ANSWER("ConsultarStatusOperacional", 10, a); }
EXPORT char *CALL ConsultarNumeroSessao(int s, char *a, int b) { ANSWER("ConsultarNumeroSessao", 11, a, INT(b)); }
EXPORT char *CALL ConfigurarInterfaceDeRede(int s, char *a, char *b) { ANSWER("ConfigurarInterfaceDeRede", 12, a, b); }
EXPORT char *CALL AssociarAssinatura(int s, char *a, char *b, char *c) { ANSWER("AssociarAssinatura", 13, a, b, c); }
EXPORT char *CALL AtualizarSoftwareSAT(int s, char *a) { ANSWER("AtualizarSoftwareSAT", 14, a); }
EXPORT char *CALL ExtrairLogs(int s, char *a) { ANSWER("ExtrairLogs", 15, a); }
EXPORT char *CALL BloquearSAT(int s, char *a) { ANSWER("BloquearSAT", 16, a); }
EXPORT char *CALL DesbloquearSAT(int s, char *a) { ANSWER("DesbloquearSAT", 17, a); }
EXPORT char *CALL TrocarCodigoDeAtivacao(int s, char *a, int b, char *c, char *d) { ANSWER("TrocarCodigoDeAtivacao", 18, a, INT(b), c, d); }
#ifndef MAKER_OLD
EXPORT char *CALL ConsultarUltimaSessaoFiscal(int s, char *a) { ANSWER("ConsultarUltimaSessaoFiscal", 19, a); }
#endif
