//go:build ignore

// Sales and cancellations that the agent may have made although we have no reply.
// The agent knows them in its journal and resolves them; while it is away, nobody
// else may make them again: the same content is not sent over the bridge, and the
// device is not asked for their session, which it knows by another number. The
// till hears "em processamento" until the agent answers.
//
// What this program does not know itself it reads from the agent's marks: the
// content of each call the agent has not closed (sat/ipc/doc.go).
#include "zelo.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DOUBTS 32 // beyond it the oldest is forgotten
#define MARKS_BYTES 1024

static struct doubt {
  int open;
  int32_t session;
  unsigned char content[SHA256_SIZE];
} doubts[DOUBTS];
static unsigned next;

// content_of sums function and arguments without secrets, as the agent does.
static void content_of(const struct call *c, unsigned char sum[SHA256_SIZE]) {
  const char *shape = functions[c->function].shape;
  unsigned char function = (unsigned char)c->function, length[4];
  struct sha256 s;
  sha256_start(&s);
  sha256_add(&s, &function, 1);
  for (int i = 0; i < c->count; i++) {
    if (isupper((unsigned char)shape[i])) continue;
    size_t size = c->args[i] ? strlen(c->args[i]) : 0;
    frame_set32(length, (uint32_t)size);
    sha256_add(&s, length, sizeof length);
    sha256_add(&s, c->args[i], size);
  }
  sha256_end(&s, sum);
}

// marked looks for content among the agent's marks, or with NULL for any mark.
static int marked(const struct config *cfg, const unsigned char *content) {
  static const unsigned char none[SHA256_SIZE];
  char path[MAX_PATH_BYTES + 16], marks[MARKS_BYTES + 1];
  struct text t = TEXT(path);
  text_put(&t, cfg->spool);
  text_put(&t, "/em-aberto");
  size_t size = os_read(path, marks, sizeof marks);
  for (size_t i = 0; i + SHA256_SIZE <= size; i += SHA256_SIZE)
    if (content ? memcmp(marks + i, content, SHA256_SIZE) == 0 : memcmp(marks + i, none, SHA256_SIZE) != 0) return 1;
  return 0;
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

int doubt_about(const struct config *cfg, const struct call *c) {
  unsigned char content[SHA256_SIZE];
  int found = 0;
  content_of(c, content);
  os_lock();
  for (int i = 0; i < DOUBTS; i++) found |= matches(&doubts[i], c, content);
  os_unlock();
  return found || (is_fiscal(c->function) && marked(cfg, content));
}

int doubt_any(const struct config *cfg) { return any() || marked(cfg, NULL); }
