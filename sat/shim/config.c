//go:build ignore

// Settings. Later sources win:
//
//   1. built in, see os_defaults and the table in function.c; till 001
//   2. files: on Linux /etc/zelo/sat.ini; on Windows %ProgramData%\Zelo\sat.ini,
//      then sat.ini beside the library; or only the one named by ZELO_INI
//   3. the environment: ZELO_SOCKET, ZELO_AGENTE, ZELO_CAIXA
//
// A file has lines "KEY = VALUE"; ";" and "#" begin comments, section titles and
// unknown keys are passed over, so that a maker's own sat.ini does no harm:
//
//   caixa = NAME             the till's name
//   socket = PATH            of the agent, Linux only
//   agente = A.B.C.D[:PORT]  of the agent, by TCP; names are not looked up, that
//                            can take longer than a till waits
//   chave = 64 HEX DIGITS    shared with the agent; without it no other computer
//                            is called
//   prazo.FUNCTION = SECONDS 1 to 7200
//   biblioteca = PATH        the maker's library, absolute; for the ponte direta
//   convencao = stdcall | cdecl  of that library on 32-bit Windows; else as ours
//   ponte = FOLDER           where calls made directly are kept for the agent; tills'
//                            users can read and write there
//   trava = PATH             locked while the device is used; a mutex's name on Windows
//
// Read once, at the first call. A value that cannot be used is passed over too:
// a till that cannot read a message of ours must not stop selling for one.
#include "zelo.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FILE_BYTES (64u << 10)

static struct config config;
static int loaded;

static void set_text(char *to, size_t room, const char *value) {
  size_t size = strlen(value);
  if (size > 0 && size < room) memcpy(to, value, size + 1);
}

static void set_deadline(const char *function, const char *value) {
  char *rest;
  long seconds = strtol(value, &rest, 10);
  if (*rest || seconds < 1 || seconds > 7200) return;
  for (int f = ATIVAR_SAT; f < FUNCTIONS_END; f++)
    if (strcasecmp(function, functions[f].name) == 0) config.deadline_ms[f] = (uint32_t)seconds * 1000;
}

// number reads a decimal number of 0 to most and moves *s behind it.
static int number(const char **s, long most, long *n) {
  char *rest;
  if (**s < '0' || **s > '9') return 0;
  *n = strtol(*s, &rest, 10);
  *s = rest;
  return *n <= most;
}

static void set_agent(const char *value) {
  uint32_t host = 0;
  long n, port = ZELO_PORT;
  for (int i = 0; i < 4; i++) {
    if (i > 0 && *value++ != '.') return;
    if (!number(&value, 255, &n)) return;
    host = host << 8 | (uint32_t)n;
  }
  if (*value == ':') {
    value++;
    if (!number(&value, 65535, &port)) return;
  }
  if (*value || host == 0 || port == 0) return;
  config.host = host;
  config.port = (uint16_t)port;
  config.socket[0] = 0;
}

static void set_key(const char *value) {
  unsigned char key[SHA256_SIZE] = {0};
  static const char digits[] = "0123456789abcdef0123456789ABCDEF";
  if (strlen(value) != 2 * SHA256_SIZE) return;
  for (int i = 0; i < 2 * SHA256_SIZE; i++) {
    const char *digit = strchr(digits, value[i]);
    if (!digit) return;
    key[i / 2] = (unsigned char)(key[i / 2] << 4 | (digit - digits) % 16);
  }
  memcpy(config.key, key, sizeof key);
  config.keyed = 1;
}

static void set(const char *key, const char *value) {
  if (strcasecmp(key, "caixa") == 0) set_text(config.till, sizeof config.till, value);
  if (strcasecmp(key, "socket") == 0) set_text(config.socket, sizeof config.socket, value);
  if (strcasecmp(key, "agente") == 0) set_agent(value);
  if (strcasecmp(key, "chave") == 0) set_key(value);
  if (strncasecmp(key, "prazo.", 6) == 0) set_deadline(key + 6, value);
  if (strcasecmp(key, "biblioteca") == 0) set_text(config.library, sizeof config.library, value);
  if (strcasecmp(key, "convencao") == 0) {
    if (strcasecmp(value, "cdecl") == 0) config.cdecl_library = 1;
    if (strcasecmp(value, "stdcall") == 0) config.cdecl_library = 0;
  }
  if (strcasecmp(key, "ponte") == 0) set_text(config.spool, sizeof config.spool, value);
  if (strcasecmp(key, "trava") == 0) set_text(config.lock, sizeof config.lock, value);
}

static char *trim(char *s) {
  s += strspn(s, " \t\r\n");
  size_t size = strlen(s);
  while (size > 0 && strchr(" \t\r\n", s[size - 1])) s[--size] = 0;
  return s;
}

static void read_line(char *line) {
  line = trim(line);
  char *equals = strchr(line, '=');
  if (!equals || *line == ';' || *line == '#') return;
  *equals = 0;
  set(trim(line), trim(equals + 1));
}

static void read_file(const char *path) {
  char *text = malloc(FILE_BYTES);
  if (!text) return;
  os_read(path, text, FILE_BYTES);
  char *next = text;
  if (strncmp(next, "\xEF\xBB\xBF", 3) == 0) next += 3; // written by Notepad
  while (next) {
    char *line = next;
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    read_line(line);
  }
  free(text);
}

static void read_environment(const char *name, const char *key) {
  char value[MAX_PATH_BYTES];
  if (os_environment(name, value, sizeof value)) set(key, value);
}

static void load(void) {
  char path[MAX_PATH_BYTES];
  set_text(config.till, sizeof config.till, "001");
  for (int f = ATIVAR_SAT; f < FUNCTIONS_END; f++) config.deadline_ms[f] = functions[f].seconds * 1000;
#ifndef ZELO_STDCALL
  config.cdecl_library = 1;
#endif
  os_process(config.process, sizeof config.process);
  os_defaults(&config);
  if (os_environment("ZELO_INI", path, sizeof path)) read_file(path);
  else
    for (int n = 0; os_settings(n, path, sizeof path); n++) read_file(path);
  read_environment("ZELO_SOCKET", "socket");
  read_environment("ZELO_AGENTE", "agente");
  read_environment("ZELO_CAIXA", "caixa");
}

const struct config *config_get(void) {
  os_lock();
  if (!loaded) load();
  loaded = 1;
  os_unlock();
  return &config;
}
