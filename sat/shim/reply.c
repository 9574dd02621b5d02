//go:build ignore

// What the till gets. Tills copy a reply at once and never free it (dossier
// 1.7); we keep it valid for longer than that. Each thread has its last OWN
// replies, which no call of another thread touches. A thread that ended leaves
// them until a new one is given its number. Beyond THREADS threads the one that
// called longest ago loses its place; beyond LARGE_BYTES of large replies the
// thread's own older ones go, then those of threads that called longest ago.
// Small replies take no memory of their own, so there is always one to give.
#include "zelo.h"

#include <stdlib.h>
#include <string.h>

#define SMALL 256
#define OWN 8
#define THREADS 256
#define LARGE_BYTES (64u << 20)

struct slot {
  char small[SMALL];
  char *large; // NULL when small is used
  size_t size; // of large
};

struct replies {
  uint64_t thread, turn; // whose, and when it last called
  struct slot slots[OWN];
  unsigned newest;
  size_t held; // by large ones
};

// All under the lock.
static struct replies first; // for want of memory
static struct replies *all[THREADS] = {&first};
static int count = 1;
static uint64_t turns;
static size_t held; // by large replies of all threads

static void drop(struct replies *r, struct slot *s) {
  r->held -= s->size;
  held -= s->size;
  free(s->large);
  s->large = NULL;
  s->size = 0;
}

// mine finds this thread's replies, or makes place for them.
static struct replies *mine(void) {
  uint64_t thread = os_thread();
  struct replies *r = all[0];
  for (int i = 0; i < count && r->thread != thread; i++)
    if (all[i]->thread == thread || all[i]->turn < r->turn) r = all[i];
  if (r->thread != thread && count < THREADS) {
    struct replies *more = calloc(1, sizeof *more);
    if (more) r = all[count++] = more;
  }
  r->thread = thread;
  r->turn = ++turns;
  return r;
}

// shed frees large replies until they keep their bound, never the newest of r.
static void shed(struct replies *r) {
  for (unsigned i = 1; i < OWN && held > LARGE_BYTES; i++) drop(r, &r->slots[(r->newest + i) % OWN]);
  while (held > LARGE_BYTES) {
    struct replies *old = NULL;
    for (int i = 0; i < count; i++)
      if (all[i] != r && all[i]->held > 0 && (!old || all[i]->turn < old->turn)) old = all[i];
    if (!old) return;
    for (int i = 0; i < OWN; i++) drop(old, &old->slots[i]);
  }
}

// place puts a reply where this thread's oldest was. It copies a small one and
// takes over a large one, which comes from malloc.
static char *place(char *text, size_t size) {
  os_lock();
  struct replies *r = mine();
  r->newest = (r->newest + 1) % OWN;
  struct slot *s = &r->slots[r->newest];
  drop(r, s);
  if (size < SMALL) text = memcpy(s->small, text, size + 1);
  else {
    s->large = text;
    s->size = size;
    r->held += size;
    held += size;
    shed(r);
  }
  os_unlock();
  return text;
}

// plain makes a byte harmless to any till: ASCII, no control characters.
static char plain(unsigned char c) {
  if (c < 0x20) return ' ';
  return c < 0x7f ? (char)c : '?';
}

// is_reply asks for what every parser needs: a session and a code.
static int is_reply(const char *text, size_t size) {
  size_t at = 0;
  for (int field = 0; field < 2; field++) {
    size_t start = at;
    while (at < size && text[at] >= '0' && text[at] <= '9') at++;
    if (at == start || at == size || text[at] != '|') return 0;
    at++;
  }
  return 1;
}

// FIELDS is the least number that all parsers take, whatever the function
// (dossier 2.1). Makers' libraries send fewer when they have no device (2.3).
#define FIELDS 5

char *reply_keep(const char *text, size_t size) {
  size_t missing = FIELDS - 1;
  char small[SMALL], *kept = small;
  if (!is_reply(text, size)) return NULL;
  for (size_t i = 0; i < size && missing > 0; i++) missing -= text[i] == '|';
  if (size + missing >= SMALL) kept = malloc(size + missing + 1);
  if (!kept) return NULL;
  for (size_t i = 0; i < size; i++) kept[i] = plain((unsigned char)text[i]);
  memset(kept + size, '|', missing);
  kept[size + missing] = 0;
  return place(kept, size + missing);
}

// own writes a reply of this library.
static char *own(int32_t session, int code, const char *alert, const char *message, const char *path) {
  char text[SMALL];
  struct text t = {text, text + SMALL - 3};
  text_number(&t, session, 6);
  text_put(&t, "|");
  text_number(&t, code, 5);
  text_put(&t, "|");
  text_put(&t, alert);
  text_put(&t, message);
  char *named = t.at;
  text_put(&t, path);
  for (; named < t.at; named++) *named = *named == '|' ? '/' : plain((unsigned char)*named);
  strcpy(t.at, "||");
  return place(text, strlen(text));
}

static int code(enum function f, int kind) { return ((int)f + 3) * 1000 + kind; }

// Sales and cancellations have CCCC, also when they fail (dossier 2.1).
static const char *alert(enum function f) { return is_fiscal(f) ? "0000|" : ""; }

char *reply_unknown(enum function f, int32_t session) {
  return own(session, code(f, 98), alert(f), "SAT em processamento. Tente novamente.", "");
}

char *reply_unsent(enum function f, int32_t session, enum unsent why, const char *path) {
  static const char *const messages[] = {
      [UNREACHED] = "O comando nao chegou ao SAT. Verifique o equipamento e o servico Zelo e tente novamente.",
      [WRONG_KEY] = "O comando nao chegou ao SAT. A chave deste caixa nao confere com a do servico Zelo: corrija o arquivo sat.ini.",
      [IN_USE] = "O comando nao foi enviado: o SAT esta em uso por outro programa. Tente novamente.",
      [NO_LOCK] = "O comando nao foi enviado. O servico Zelo nao responde e nao foi possivel reservar o SAT em ",
      [NO_LIBRARY] = "O comando nao foi enviado. O servico Zelo nao responde e nao foi possivel carregar a biblioteca ",
      [NO_FUNCTION] = "O comando nao foi enviado. O servico Zelo nao responde e falta a funcao na biblioteca ",
      [NO_SPOOL] = "O comando nao foi enviado. O servico Zelo nao responde e nao foi possivel gravar na pasta ",
  };
  return own(session, code(f, 99), alert(f), messages[why], path ? path : "");
}

char *reply_not_offered(int prefix, int32_t session) {
  return own(session, prefix * 1000 + 99, "", "Funcao nao oferecida por esta biblioteca.", "");
}
