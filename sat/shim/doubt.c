//go:build ignore

// Sales and cancellations that the agent may have made although we have no reply.
// The agent knows them in its journal and resolves them; while it is away, nobody
// else may make them again: the same content is not sent over the bridge, and the
// device is not asked for their session, which it knows by another number. The
// till hears "em processamento" until the agent answers.
//
// Kept in memory: a program that ended took its open sale with it.
#include "zelo.h"

#include <stdlib.h>
#include <string.h>

#define DOUBTS 32 // beyond it the oldest is forgotten

static struct doubt {
  int open;
  int32_t session;
  unsigned char content[SHA256_SIZE];
} doubts[DOUBTS];
static unsigned next;

// content_of sums function and arguments without the activation code.
static void content_of(const struct call *c, unsigned char sum[SHA256_SIZE]) {
  const char *shape = functions[c->function].shape;
  unsigned char function = (unsigned char)c->function;
  struct sha256 s;
  sha256_start(&s);
  sha256_add(&s, &function, 1);
  for (int i = 0; i < c->count; i++)
    if (shape[i] != 'S' && c->args[i]) sha256_add(&s, c->args[i], strlen(c->args[i]) + 1);
  sha256_end(&s, sum);
}

// matches tells whether c is about d: the same fiscal call, or a question for its
// session.
static int matches(const struct doubt *d, const struct call *c, const unsigned char content[SHA256_SIZE]) {
  if (!d->open) return 0;
  if (is_fiscal(c->function)) return memcmp(d->content, content, SHA256_SIZE) == 0;
  return c->function == CONSULTAR_NUMERO_SESSAO && d->session == (int32_t)strtol(c->args[1], NULL, 10);
}

static int busy(const char *reply) {
  const char *code = strchr(reply, '|') + 1; // there is one, see reply_keep
  return strncmp(code + 2, "098|", 4) == 0;
}

static int any(void) {
  int found = 0;
  os_lock();
  for (int i = 0; i < DOUBTS; i++) found |= doubts[i].open;
  os_unlock();
  return found;
}

void doubt_note(const struct call *c, const char *reply) {
  int settled = reply && !busy(reply), known = 0;
  unsigned char content[SHA256_SIZE];
  if (settled && !any()) return;
  content_of(c, content);
  os_lock();
  for (int i = 0; i < DOUBTS; i++) {
    if (!matches(&doubts[i], c, content)) continue;
    known = 1;
    if (settled) doubts[i].open = 0;
  }
  if (!settled && !known && is_fiscal(c->function)) {
    struct doubt *d = &doubts[next++ % DOUBTS];
    d->open = 1;
    d->session = c->session;
    memcpy(d->content, content, SHA256_SIZE);
  }
  os_unlock();
}

int doubt_about(const struct call *c) {
  unsigned char content[SHA256_SIZE];
  int found = 0;
  if (!any()) return 0;
  content_of(c, content);
  os_lock();
  for (int i = 0; i < DOUBTS; i++) found |= matches(&doubts[i], c, content);
  os_unlock();
  return found;
}
