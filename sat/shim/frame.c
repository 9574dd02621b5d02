//go:build ignore

// The protocol's bytes, see sat/ipc/doc.go. No input or output here.
#include "zelo.h"

#include <stdlib.h>
#include <string.h>

#define VERSION 1
#define MAX_NAME 255
#define MAX_TEXT 1024
#define NULL_TEXT 0xFFFFFFFFu

uint32_t frame_get32(const unsigned char bytes[4]) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

void frame_set32(unsigned char bytes[4], uint32_t n) {
  bytes[0] = (unsigned char)(n >> 24);
  bytes[1] = (unsigned char)(n >> 16);
  bytes[2] = (unsigned char)(n >> 8);
  bytes[3] = (unsigned char)n;
}

void frame_bytes(struct buffer *b, const void *bytes, size_t size) {
  if (b->failed || size > 2 * (size_t)MAX_FRAME || b->used + size > 2 * (size_t)MAX_FRAME) {
    b->failed = 1;
    return;
  }
  if (b->used + size > b->room) {
    size_t room = 2 * (b->used + size);
    unsigned char *more = realloc(b->bytes, room);
    if (!more) {
      b->failed = 1;
      return;
    }
    b->bytes = more;
    b->room = room;
  }
  if (size) memcpy(b->bytes + b->used, bytes, size);
  b->used += size;
}

static void put8(struct buffer *b, uint8_t n) { frame_bytes(b, &n, 1); }

static void put32(struct buffer *b, uint32_t n) {
  unsigned char p[4];
  frame_set32(p, n);
  frame_bytes(b, p, 4);
}

static void put_text(struct buffer *b, const char *s, size_t most) {
  if (!s) {
    put32(b, NULL_TEXT);
    return;
  }
  size_t size = strlen(s);
  if (size > most) size = most;
  put32(b, (uint32_t)size);
  frame_bytes(b, s, size);
}

// begin returns where the frame starts, for end to write its length there.
static size_t begin(struct buffer *b, char kind) {
  size_t start = b->used;
  put32(b, 0);
  put8(b, (uint8_t)kind);
  return start;
}

static void end(struct buffer *b, size_t start) {
  if (b->failed) return;
  size_t length = b->used - start - 4;
  if (length > MAX_FRAME) {
    b->failed = 1;
    return;
  }
  frame_set32(b->bytes + start, (uint32_t)length);
}

void frame_hello(struct buffer *b, const char *library, const char *process, uint32_t pid) {
  size_t start = begin(b, 'H');
  put_text(b, library, MAX_NAME);
  put_text(b, process, MAX_NAME);
  put32(b, pid);
  end(b, start);
}

void frame_nonce(struct buffer *b, const unsigned char nonce[NONCE]) {
  size_t start = begin(b, 'N');
  frame_bytes(b, nonce, NONCE);
  end(b, start);
}

void frame_call(struct buffer *b, const struct call *c) {
  size_t start = begin(b, 'C');
  put32(b, c->id);
  put32(b, c->left_ms);
  put8(b, (uint8_t)c->function);
  put32(b, (uint32_t)c->session);
  put_text(b, c->till, MAX_TILL);
  put8(b, (uint8_t)c->count);
  for (int i = 0; i < c->count; i++) put_text(b, c->args[i], SIZE_MAX);
  end(b, start);
}

void frame_reply(struct buffer *b, uint32_t id, const char *text) {
  size_t start = begin(b, 'R');
  put32(b, id);
  frame_bytes(b, text, strlen(text));
  end(b, start);
}

void frame_taken(struct buffer *b, uint32_t id) {
  size_t start = begin(b, 'T');
  put32(b, id);
  end(b, start);
}

void frame_free(struct buffer *b) {
  free(b->bytes);
  memset(b, 0, sizeof *b);
}

int frame_length(const unsigned char head[4], uint32_t *length) {
  *length = frame_get32(head);
  return *length >= 1 && *length <= MAX_FRAME;
}

int frame_greeting(const unsigned char frame[GREETING_FRAME]) {
  static const unsigned char expected[GREETING_FRAME] = {0, 0, 0, 11, 'G', 'z', 'e', 'l', 'o', '-', 's', 'a', 't', 0, VERSION};
  return memcmp(frame, expected, GREETING_FRAME) == 0;
}

int frame_keyed_greeting(const unsigned char frame[GREETING_FRAME]) {
  static const unsigned char expected[GREETING_FRAME] = {0, 0, 0, 11 + NONCE, 'K', 'z', 'e', 'l', 'o', '-', 's', 'a', 't', 0, VERSION};
  return memcmp(frame, expected, GREETING_FRAME) == 0;
}

int frame_answer(const unsigned char *frame, size_t length, uint32_t id, struct answer *a) {
  memset(a, 0, sizeof *a);
  if (length < 5 || frame_get32(frame + 1) != id) return 0;
  if (frame[0] == 'R') {
    a->is_reply = 1;
    a->text = frame + 5;
    a->size = length - 5;
    return 1;
  }
  if (frame[0] != 'E' || length < 7 || length > 7 + MAX_TEXT || frame[5] > 1 || frame[6] > 1) return 0;
  a->not_issued = frame[5] == 1;
  a->text = frame + 7;
  a->size = length - 7;
  return 1;
}
