// Checks frame.c against the vectors shared with the Go side, or with "fuzz"
// reads frames from standard input and says of each whether it is an answer.
#include "../zelo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 16384, ARGS = 8 };

static char name[128];

static void fail(const char *what) {
  printf("%s: %s\n", name, what);
  exit(1);
}

// field copies the value of key to out, with %XX made bytes; 0 when absent.
static int field(char *const *fields, const char *key, char *out) {
  size_t size = strlen(key);
  for (; *fields; fields++) {
    if (strncmp(*fields, key, size) != 0 || (*fields)[size] != '=') continue;
    strcpy(out, *fields + size + 1);
    return 1;
  }
  return 0;
}

// unescape makes bytes of %XX and returns how many there are.
static size_t unescape(char *s) {
  char *to = s;
  for (const char *from = s; *from; to++) {
    if (*from == '%') {
      char two[3] = {from[1], from[2], 0};
      *to = (char)strtol(two, NULL, 16);
      from += 3;
    } else *to = *from++;
  }
  *to = 0;
  return (size_t)(to - s);
}

static uint32_t number(char *const *fields, const char *key) {
  static char value[LINE];
  if (!field(fields, key, value)) fail("a field is missing");
  return (uint32_t)strtoll(value, NULL, 10);
}

// answer reads a whole frame as the library reads one off its connection.
static int answer(const unsigned char *bytes, size_t size, uint32_t id, struct answer *a) {
  uint32_t length;
  return size >= 4 && frame_length(bytes, &length) && size - 4 == length && frame_answer(bytes + 4, length, id, a);
}

static int greeting(const unsigned char *bytes, size_t size) { return size == GREETING_FRAME && frame_greeting(bytes); }

static void check_server(char *const *fields, const unsigned char *bytes, size_t size) {
  static char text[LINE], kind[LINE];
  struct answer a;
  field(fields, "kind", kind);
  if (strcmp(kind, "greeting") == 0) {
    if (!greeting(bytes, size)) fail("greeting refused");
    return;
  }
  if (!answer(bytes, size, number(fields, "id"), &a)) fail("refused");
  if (answer(bytes, size, number(fields, "id") + 1, &a)) fail("taken for another call's");
  answer(bytes, size, number(fields, "id"), &a);
  if (a.is_reply != (strcmp(kind, "reply") == 0)) fail("another kind");
  if (!field(fields, a.is_reply ? "raw" : "text", text)) fail("no text to compare");
  if (unescape(text) != a.size || memcmp(text, a.text, a.size) != 0) fail("another text");
  if (!a.is_reply && a.not_issued != (number(fields, "outcome") == 1)) fail("another outcome");
}

static void write_call(struct buffer *b, char *const *fields) {
  static char till[LINE], args[LINE];
  const char *list[ARGS];
  struct call c = {.id = number(fields, "id"), .left_ms = number(fields, "left"), .function = number(fields, "function"),
                   .session = (int32_t)number(fields, "session"), .till = till, .args = list};
  field(fields, "till", till);
  if (field(fields, "args", args)) {
    char *next = args;
    while (next) {
      char *arg = next;
      next = strchr(arg, ',');
      if (next) *next++ = 0;
      if (strcmp(arg, "NULL") == 0) arg = NULL;
      else unescape(arg);
      list[c.count++] = arg;
    }
  }
  frame_call(b, &c);
}

static void check_client(char *const *fields, const unsigned char *bytes, size_t size) {
  static char kind[LINE], library[LINE], process[LINE];
  struct buffer b = {0};
  field(fields, "kind", kind);
  if (strcmp(kind, "hello") == 0) {
    field(fields, "library", library);
    field(fields, "process", process);
    unescape(library);
    unescape(process);
    frame_hello(&b, library, process, number(fields, "pid"));
  } else if (strcmp(kind, "taken") == 0) frame_taken(&b, number(fields, "id"));
  else write_call(&b, fields);
  if (b.failed || b.used != size || memcmp(b.bytes, bytes, size) != 0) fail("written otherwise");
  frame_free(&b);
}

static void check(char *line) {
  static char *words[32];
  static unsigned char bytes[LINE];
  int n = 0;
  struct answer a;
  for (char *w = strtok(line, " \n"); w && n < 31; w = strtok(NULL, " \n")) words[n++] = w;
  words[n] = NULL;
  snprintf(name, sizeof name, "%s", words[0]);
  size_t size = strlen(words[3]) / 2;
  for (size_t i = 0; i < size; i++) {
    char two[3] = {words[3][2 * i], words[3][2 * i + 1], 0};
    bytes[i] = (unsigned char)strtol(two, NULL, 16);
  }
  // A copy of the exact size, so that a sanitizer sees any byte read beyond it.
  unsigned char *exact = malloc(size + !size);
  memcpy(exact, bytes, size);
  int bad = strcmp(words[2], "bad") == 0, server = strcmp(words[1], "server") == 0;
  if (bad && server && (greeting(exact, size) || answer(exact, size, 5, &a))) fail("taken for good");
  if (!bad && server) check_server(words + 4, exact, size);
  if (!bad && !server) check_client(words + 4, exact, size);
  free(exact);
}

static int fuzz(void) {
  unsigned char head[4];
  while (fread(head, 1, 4, stdin) == 4) {
    size_t size = (size_t)head[0] << 24 | (size_t)head[1] << 16 | (size_t)head[2] << 8 | head[3];
    unsigned char *bytes = malloc(size + !size);
    struct answer a;
    if (fread(bytes, 1, size, stdin) != size) return 1;
    uint32_t id = size < 9 ? 0 : (uint32_t)bytes[5] << 24 | (uint32_t)bytes[6] << 16 | (uint32_t)bytes[7] << 8 | bytes[8];
    int good = greeting(bytes, size);
    if (!good && answer(bytes, size, id, &a)) {
      volatile unsigned char touched;
      for (size_t i = 0; i < a.size; i++) touched = a.text[i]; // a sanitizer sees a byte that is not there
      (void)touched;
      good = 1;
    }
    free(bytes);
    putchar(good ? '1' : '0');
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  static char line[LINE];
  int n = 0;
  if (argc > 1 && strcmp(argv[1], "fuzz") == 0) return fuzz();
  FILE *file = fopen(argv[1], "r");
  if (!file) return 2;
  while (fgets(line, sizeof line, file)) {
    if (line[0] == '#' || line[0] == '\n') continue;
    check(line);
    n++;
  }
  fclose(file);
  printf("%d vectors\n", n);
  return 0;
}
