//go:build ignore

// A conversation with the agent. Until its greeting is here, whole and of a
// version we know, and in a private conversation proves that it holds the key,
// the agent has received nothing.
#include "zelo.h"

#include <stdlib.h>

#define GREETING_MS 5000 // for the agent to greet; a live one does at once

static int receive(const struct channel *ch, void *bytes, size_t size, int64_t deadline) {
  return os_receive(ch->conn, bytes, size, deadline);
}

// exchange agrees with the agent on keys for this connection: each gives a random
// number, and the agent greets again, sealed.
static enum reach exchange(struct channel *ch, const unsigned char key[SHA256_SIZE], int64_t until) {
  unsigned char open[GREETING_FRAME], server[NONCE], client[NONCE], greeting[GREETING_FRAME + SHA256_SIZE];
  struct buffer b = {0};
  size_t sent;
  if (!receive(ch, open, sizeof open, until) || !frame_keyed_greeting(open)) return NOBODY;
  if (!receive(ch, server, sizeof server, until) || !os_random(client, sizeof client)) return NOBODY;
  frame_nonce(&b, client);
  int done = !b.failed && os_send(ch->conn, b.bytes, b.used, until, &sent);
  frame_free(&b);
  if (!done || !receive(ch, greeting, sizeof greeting, until)) return NOBODY;
  seal_start(&ch->out, TO_SERVER, key, server, client);
  seal_start(&ch->in, TO_CLIENT, key, server, client);
  ch->keyed = 1;
  int ours = seal_open(&ch->in, greeting + 4, GREETING_FRAME - 4, greeting + GREETING_FRAME);
  return ours && frame_greeting(greeting) ? REACHED : KEY_REFUSED;
}

// may_call tells whether the conversation stays on this computer or is private.
static int may_call(const struct config *cfg) { return cfg->keyed || cfg->socket[0] || cfg->host >> 24 == 127; }

enum reach channel_open(struct channel *ch, const struct config *cfg, int64_t deadline) {
  int64_t until = os_now() + GREETING_MS;
  unsigned char greeting[GREETING_FRAME];
  enum reach reached = NOBODY;
  if (until > deadline) until = deadline;
  ch->keyed = 0;
  if (!may_call(cfg)) return KEY_REFUSED;
  if (!os_connect(cfg, until, &ch->conn)) return NOBODY;
  if (cfg->keyed) reached = exchange(ch, cfg->key, until);
  else if (receive(ch, greeting, sizeof greeting, until) && frame_greeting(greeting)) reached = REACHED;
  if (reached != REACHED) os_disconnect(ch->conn);
  return reached;
}

// sealed makes of frames that follow each other their sealed forms.
static void sealed(struct seal *s, const struct buffer *frames, struct buffer *out) {
  unsigned char tag[SHA256_SIZE];
  size_t at = 0;
  while (at < frames->used) {
    uint32_t length = frame_get32(frames->bytes + at);
    size_t start = out->used;
    frame_bytes(out, frames->bytes + at, 4 + (size_t)length);
    if (out->failed) return;
    seal_frame(s, out->bytes + start + 4, length, tag);
    frame_bytes(out, tag, sizeof tag);
    at += 4 + (size_t)length;
  }
}

// channel_send sends whole frames. *sent tells how many bytes may have reached
// the agent.
int channel_send(struct channel *ch, struct buffer *frames, int64_t deadline, size_t *sent) {
  struct buffer secret = {0};
  *sent = 0;
  if (frames->failed) return 0;
  if (!ch->keyed) return os_send(ch->conn, frames->bytes, frames->used, deadline, sent);
  sealed(&ch->out, frames, &secret);
  int done = !secret.failed && os_send(ch->conn, secret.bytes, secret.used, deadline, sent);
  frame_free(&secret);
  return done;
}

// channel_receive waits for a frame; the caller frees *frame, also after a
// failure. length counts what follows the length field.
int channel_receive(struct channel *ch, int64_t deadline, unsigned char **frame, uint32_t *length) {
  unsigned char head[4], tag[SHA256_SIZE];
  *frame = NULL;
  if (!receive(ch, head, sizeof head, deadline) || !frame_length(head, length)) return 0;
  *frame = malloc(*length);
  if (!*frame || !receive(ch, *frame, *length, deadline)) return 0;
  if (!ch->keyed) return 1;
  return receive(ch, tag, sizeof tag, deadline) && seal_open(&ch->in, *frame, *length, tag);
}

void channel_close(struct channel *ch) { os_disconnect(ch->conn); }
