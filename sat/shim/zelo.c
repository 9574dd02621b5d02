//go:build ignore

// The story of one call.
#include "zelo.h"

#include <stdlib.h>

#define ID 1 // the only call of its connection

static int64_t sooner(int64_t a, int64_t b) { return a < b ? a : b; }

// left is the time the agent is given: ours less a margin, so that its "time is
// over" still finds us listening.
static uint32_t left(int64_t deadline) {
  int64_t ms = deadline - os_now();
  if (ms <= 0) return 0;
  return (uint32_t)(ms - sooner(ms / 5, 200));
}

// ask sends the call. *sent tells how many bytes may have reached the agent.
static int ask(struct channel *ch, const struct config *cfg, struct call *c, int64_t deadline, size_t *sent) {
  struct buffer b = {0};
  c->left_ms = left(deadline);
  frame_hello(&b, c->converted ? ZELO_LIBRARY "; windows-1252" : ZELO_LIBRARY, cfg->process, os_pid());
  frame_call(&b, c);
  *sent = 0;
  int done = c->left_ms > 0 && channel_send(ch, &b, deadline, sent);
  frame_free(&b);
  return done;
}

// confirm tells the agent that the reply is in the till's hands. Nobody waits.
static void confirm(struct channel *ch, int64_t deadline) {
  struct buffer b = {0};
  size_t sent;
  frame_taken(&b, ID);
  channel_send(ch, &b, deadline, &sent);
  frame_free(&b);
}

// answered is the agent's reply in the till's memory, NULL when the outcome is
// unknown.
static char *answered(struct channel *ch, const struct call *c, int64_t deadline) {
  struct answer a;
  unsigned char *frame;
  uint32_t length;
  char *reply = NULL;
  if (channel_receive(ch, deadline, &frame, &length) && frame_answer(frame, length, ID, &a)) {
    if (a.is_reply) reply = reply_keep((const char *)a.text, a.size);
    else if (a.not_issued) reply = reply_unsent(c->function, c->session, UNREACHED, NULL);
    if (a.is_reply && reply) confirm(ch, deadline);
  }
  free(frame);
  return reply;
}

// converse makes the call on a greeted connection.
static char *converse(struct channel *ch, const struct config *cfg, struct call *c, int64_t deadline) {
  size_t sent;
  int asked = ask(ch, cfg, c, deadline, &sent);
  if (!asked && sent == 0) return reply_unsent(c->function, c->session, UNREACHED, NULL);
  char *reply = asked ? answered(ch, c, deadline) : NULL;
  doubt_note(c, reply);
  return reply ? reply : reply_unknown(c->function, c->session);
}

static char *make(const struct config *cfg, struct call *c) {
  int64_t deadline = os_now() + cfg->deadline_ms[c->function];
  struct channel ch;
  enum reach reached = channel_open(&ch, cfg, deadline);
  if (reached == REACHED) {
    char *reply = converse(&ch, cfg, c, deadline);
    channel_close(&ch);
    return reply;
  }
  if (cfg->library[0]) return doubt_about(cfg, c) ? reply_unknown(c->function, c->session) : bridge(cfg, c, deadline);
  return reply_unsent(c->function, c->session, reached == KEY_REFUSED ? WRONG_KEY : UNREACHED, NULL);
}

// convert puts XML that is not UTF-8 into it. made holds what must be freed.
static int convert(struct call *c, char *made[MAX_ARGS]) {
  const char *shape = functions[c->function].shape;
  for (int i = 0; i < c->count; i++) {
    int xml = shape[i] == 'x' || shape[i] == 'X';
    if (!xml || !c->args[i] || text_is_utf8(c->args[i])) continue;
    c->args[i] = made[i] = text_to_utf8(c->args[i]);
    c->converted = 1;
    if (!made[i]) return 0;
  }
  return 1;
}

char *perform(enum function f, int32_t session, const char *const *args, int count) {
  const struct config *cfg = config_get();
  struct call c = {.id = ID, .function = f, .session = session, .till = cfg->till, .count = count};
  char *made[MAX_ARGS] = {0};
  for (int i = 0; i < count; i++) c.args[i] = args[i];
  char *reply = convert(&c, made) ? make(cfg, &c) : reply_unsent(f, session, UNREACHED, NULL);
  for (int i = 0; i < count; i++) free(made[i]);
  return reply;
}
