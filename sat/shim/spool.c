//go:build ignore

// Calls made directly, kept for the agent: one file for each, described in
// sat/ipc/doc.go. The call is on the disk before it is made, the reply before the
// till has it. Secrets are never written: the activation code and whatever else
// must not be stored travels as NULL.
#include "zelo.h"

#include <ctype.h>
#include <string.h>

// Of the files this process began, under the lock.
static uint32_t count;
static int64_t newest;

// name gives the file one that sorts by time, also when the clock was set back, and
// that nobody else gives.
static void name(struct spool *s, const char *folder) {
  struct text t = TEXT(s->path);
  int64_t ms = os_unix_ms();
  os_lock();
  uint32_t n = ++count;
  if (ms < newest) ms = newest;
  newest = ms;
  os_unlock();
  text_put(&t, folder);
  text_put(&t, "/");
  text_number(&t, ms, 13);
  text_put(&t, "-");
  text_number(&t, os_pid(), 1);
  text_put(&t, "-");
  text_number(&t, n, 10);
  text_put(&t, ".ponte");
}

int spool_begin(struct spool *s, const struct config *cfg, const struct call *c) {
  const char *shape = functions[c->function].shape;
  struct call kept = *c;
  struct buffer b = {0};
  for (int i = 0; i < c->count; i++)
    if (isupper((unsigned char)shape[i])) kept.args[i] = NULL;
  frame_call(&b, &kept);
  s->open = 0;
  s->id = c->id;
  name(s, cfg->spool);
  if (!b.failed && os_create(s->path, &s->file)) {
    s->open = os_append(s->file, b.bytes, b.used);
    if (!s->open) {
      os_close(s->file);
      os_remove(s->path);
    }
  }
  frame_free(&b);
  return s->open;
}

// spool_end appends what the maker's library returned, NULL for nothing. A reply
// that cannot be kept leaves the outcome unknown to the agent, who then asks the
// device.
void spool_end(struct spool *s, const char *reply) {
  struct buffer b = {0};
  if (!s->open) return;
  if (reply) {
    frame_reply(&b, s->id, reply);
    if (!b.failed) os_append(s->file, b.bytes, b.used);
    frame_free(&b);
  }
  os_close(s->file);
}
