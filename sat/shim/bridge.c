//go:build ignore

// The "ponte direta": a call that the agent certainly has not received is made
// through the maker's library, in this process, as before Zelo was there. The
// device is reserved against the agent and other programs for as long as the call
// lasts. How long that is lies with the maker.
//
// Calls that change the device are kept for the agent (spool.c) before they are
// made, or not made at all. So are the questions for a session, if possible: a
// device gives such a reply once, and it may hold a document.
#include "zelo.h"

#include <stdlib.h>
#include <string.h>

// A parameter is an int or a pointer; either takes one word on every machine we
// build for.
typedef uintptr_t word;

#if defined _WIN32 && defined __i386__
#define STDCALL __stdcall
#else
#define STDCALL
#endif

// FORMS are the functions by the number of their parameters after numeroSessao.
#define FORMS(convention)                                                                     \
  switch (count) {                                                                            \
  case 0: return ((char *(convention *)(int))f)(session);                                     \
  case 1: return ((char *(convention *)(int, word))f)(session, w[0]);                         \
  case 2: return ((char *(convention *)(int, word, word))f)(session, w[0], w[1]);             \
  case 3: return ((char *(convention *)(int, word, word, word))f)(session, w[0], w[1], w[2]); \
  default: return ((char *(convention *)(int, word, word, word, word))f)(session, w[0], w[1], w[2], w[3]); \
  }

static char *call_cdecl(void *f, int session, const word *w, int count) { FORMS() }
static char *call_stdcall(void *f, int session, const word *w, int count) { FORMS(STDCALL) }

static char *call_maker(const struct config *cfg, void *function, const struct call *c) {
  const char *shape = functions[c->function].shape;
  word words[MAX_ARGS] = {0};
  for (int i = 0; i < c->count; i++) {
    if (shape[i] == 'i') words[i] = (word)(int)strtol(c->args[i], NULL, 10);
    else words[i] = (word)(c->args[i] ? c->args[i] : "");
  }
  return (cfg->cdecl_library ? call_cdecl : call_stdcall)(function, c->session, words, c->count);
}

// maker is the library, loaded at the first need and for good. One of ours, under
// whatever name, is none.
static void *maker(const struct config *cfg) {
  static void *loaded; // under the lock
  os_lock();
  void *library = loaded;
  os_unlock();
  if (library) return library;
  library = os_library(cfg->library);
  if (!library || os_symbol(library, "ZeloBiblioteca")) return NULL;
  os_lock();
  loaded = library;
  os_unlock();
  return library;
}

// find looks a function up by its plain name or as 32-bit compilers decorate it.
static void *find(void *library, enum function f) {
  const struct function_row *row = &functions[f];
  char decorated[64];
  struct text t = TEXT(decorated);
  text_put(&t, "_");
  text_put(&t, row->name);
  text_put(&t, "@");
  text_number(&t, 4 + 4 * (int)strlen(row->shape), 1);
  void *found = os_symbol(library, row->name);
  if (!found) found = os_symbol(library, decorated + 1);
  if (!found) found = os_symbol(library, decorated);
  return found;
}

// rescue asks the device for its last fiscal session before another one takes its
// place: the agent has a sale open whose document may be there and nowhere else.
// What it says is kept for the agent; nobody here waits for it to make sense.
static void rescue(const struct config *cfg, void *library, const struct call *c) {
  struct call ask = {.id = c->id, .function = CONSULTAR_ULTIMA_SESSAO_FISCAL, .till = c->till, .count = 1};
  struct spool spool = {0};
  uint32_t number = 0;
  void *function = find(library, ask.function);
  if (!function || !os_random(&number, sizeof number)) return;
  ask.session = 100000 + (int32_t)(number % 900000);
  ask.args[0] = c->args[0]; // the activation code
  if (spool_begin(&spool, cfg, &ask)) spool_end(&spool, call_maker(cfg, function, &ask));
}

// carry_out makes the call on the reserved device.
static char *carry_out(const struct config *cfg, const struct call *c) {
  enum effect effect = functions[c->function].effect;
  struct spool spool = {0};
  void *library = maker(cfg);
  if (!library) return reply_unsent(c->function, c->session, NO_LIBRARY, cfg->library);
  void *function = find(library, c->function);
  if (!function) return reply_unsent(c->function, c->session, NO_FUNCTION, cfg->library);
  if (is_fiscal(c->function) && doubt_any(cfg)) rescue(cfg, library, c);
  if (effect != READS && !spool_begin(&spool, cfg, c) && effect == CHANGES)
    return reply_unsent(c->function, c->session, NO_SPOOL, cfg->spool);
  const char *raw = call_maker(cfg, function, c);
  spool_end(&spool, raw);
  char *reply = raw ? reply_keep(raw, strlen(raw)) : NULL;
  return reply ? reply : reply_unknown(c->function, c->session);
}

char *bridge(const struct config *cfg, const struct call *c, int64_t deadline) {
  intptr_t guard;
  enum reserve reserved = os_reserve(cfg->lock, deadline, &guard);
  if (reserved == STILL_IN_USE) return reply_unsent(c->function, c->session, IN_USE, NULL);
  if (reserved == NO_SUCH_LOCK) return reply_unsent(c->function, c->session, NO_LOCK, cfg->lock);
  char *reply = carry_out(cfg, c);
  os_release(guard);
  return reply;
}
