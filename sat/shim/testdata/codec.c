// Tries the sources that know no system:
//
//   vectors FILE, sealed FILE  frame.c and seal.c against vectors shared with Go
//   fuzz                       of each input, is it an answer?
//   sum                        the SHA-256 of each input
//   text                       each input as UTF-8
//
// Inputs and outputs have their length before them, four bytes.
#include "../zelo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 16384 };

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

// hexadecimal makes bytes of digits; *size says how many.
static unsigned char *hexadecimal(const char *digits, size_t *size) {
  *size = strlen(digits) / 2;
  unsigned char *bytes = malloc(*size + !*size); // exact: a sanitizer sees any byte read beyond
  for (size_t i = 0; i < *size; i++) {
    char two[3] = {digits[2 * i], digits[2 * i + 1], 0};
    bytes[i] = (unsigned char)strtol(two, NULL, 16);
  }
  return bytes;
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

static int keyed(const unsigned char *bytes, size_t size) { return size == GREETING_FRAME + NONCE && frame_keyed_greeting(bytes); }

static void check_server(char *const *fields, const unsigned char *bytes, size_t size) {
  static char text[LINE], kind[LINE];
  struct answer a;
  field(fields, "kind", kind);
  if (strcmp(kind, "greeting") == 0) {
    if (!greeting(bytes, size)) fail("greeting refused");
    return;
  }
  if (strcmp(kind, "keyed") == 0) {
    if (!keyed(bytes, size)) fail("greeting refused");
    if (greeting(bytes, GREETING_FRAME)) fail("taken for a greeting in the clear");
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
  struct call c = {.id = number(fields, "id"), .left_ms = number(fields, "left"), .function = number(fields, "function"),
                   .session = (int32_t)number(fields, "session"), .till = till};
  field(fields, "till", till);
  if (field(fields, "args", args)) {
    char *next = args;
    while (next) {
      char *arg = next;
      next = strchr(arg, ',');
      if (next) *next++ = 0;
      if (strcmp(arg, "NULL") == 0) arg = NULL;
      else unescape(arg);
      if (c.count == MAX_ARGS) fail("too many arguments");
      c.args[c.count++] = arg;
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
  } else if (strcmp(kind, "nonce") == 0) {
    size_t nonce;
    static char value[LINE];
    field(fields, "nonce", value);
    unsigned char *random = hexadecimal(value, &nonce);
    frame_nonce(&b, random);
    free(random);
  } else if (strcmp(kind, "taken") == 0) frame_taken(&b, number(fields, "id"));
  else write_call(&b, fields);
  if (b.failed || b.used != size || memcmp(b.bytes, bytes, size) != 0) fail("written otherwise");
  frame_free(&b);
}

static void check(char *line) {
  static char *words[32];
  int n = 0;
  struct answer a;
  for (char *w = strtok(line, " \n"); w && n < 31; w = strtok(NULL, " \n")) words[n++] = w;
  words[n] = NULL;
  snprintf(name, sizeof name, "%s", words[0]);
  size_t size;
  unsigned char *exact = hexadecimal(words[3], &size);
  int bad = strcmp(words[2], "bad") == 0, server = strcmp(words[1], "server") == 0;
  if (bad && server && (greeting(exact, size) || keyed(exact, size) || answer(exact, size, 5, &a))) fail("taken for good");
  if (!bad && server) check_server(words + 4, exact, size);
  if (!bad && !server) check_client(words + 4, exact, size);
  free(exact);
}

static void check_sealed(char *line) {
  char *words[8];
  unsigned char *bytes[8] = {0}, tag[SHA256_SIZE];
  size_t size[8];
  struct seal seal;
  words[0] = strtok(line, " \n");
  for (int i = 1; i < 8; i++) words[i] = strtok(NULL, " \n");
  snprintf(name, sizeof name, "%s", words[0]);
  for (int i = 1; i < 8; i++)
    if (i != 4 && i != 5) bytes[i] = hexadecimal(words[i], &size[i]);
  uint32_t length = (uint32_t)size[6] - 4;
  seal_start(&seal, strcmp(words[4], "server") == 0 ? TO_SERVER : TO_CLIENT, bytes[1], bytes[2], bytes[3]);
  seal.count = strtoull(words[5], NULL, 10);
  struct seal other = seal;
  seal_frame(&seal, bytes[6] + 4, length, tag);
  if (size[7] != size[6] + sizeof tag || memcmp(bytes[6], bytes[7], size[6]) != 0) fail("sealed otherwise");
  if (memcmp(tag, bytes[7] + size[6], sizeof tag) != 0) fail("another tag");
  tag[31] ^= 1;
  if (seal_open(&other, bytes[7] + 4, length, tag)) fail("opened with a wrong tag");
  tag[31] ^= 1;
  if (!seal_open(&other, bytes[7] + 4, length, tag)) fail("not opened");
  free(bytes[6]);
  bytes[6] = hexadecimal(words[6], &size[6]);
  if (memcmp(bytes[6], bytes[7], size[6]) != 0) fail("opened otherwise");
  for (int i = 1; i < 8; i++) free(bytes[i]);
}

static int each_line(const char *file_name, void (*check_line)(char *)) {
  static char line[LINE];
  int n = 0;
  FILE *file = fopen(file_name, "r");
  if (!file) return 2;
  while (fgets(line, sizeof line, file)) {
    if (line[0] == '#' || line[0] == '\n') continue;
    check_line(line);
    n++;
  }
  fclose(file);
  printf("%d vectors\n", n);
  return 0;
}

static void say(const void *bytes, size_t size) {
  unsigned char head[4];
  frame_set32(head, (uint32_t)size);
  fwrite(head, 1, 4, stdout);
  fwrite(bytes, 1, size, stdout);
  fflush(stdout);
}

static void say_answer(const unsigned char *bytes, size_t size) {
  struct answer a;
  int good = greeting(bytes, size);
  if (!good && answer(bytes, size, size < 9 ? 0 : frame_get32(bytes + 5), &a)) {
    volatile unsigned char touched;
    for (size_t i = 0; i < a.size; i++) touched = a.text[i]; // a sanitizer sees a byte that is not there
    (void)touched;
    good = 1;
  }
  say(good ? "good" : "bad", good ? 4 : 3);
}

static void say_sum(const unsigned char *bytes, size_t size) {
  unsigned char sum[SHA256_SIZE];
  struct sha256 s;
  sha256_start(&s);
  sha256_add(&s, bytes, size / 3); // in two parts
  sha256_add(&s, bytes + size / 3, size - size / 3);
  sha256_end(&s, sum);
  say(sum, sizeof sum);
}

static void say_text(const unsigned char *bytes, size_t size) {
  char *text = malloc(size + 1);
  memcpy(text, bytes, size);
  text[size] = 0;
  char *made = text_to_utf8(text);
  if (!text_is_utf8(made) || text_is_utf8(text) != (strcmp(text, made) == 0)) abort();
  say(made, strlen(made));
  free(made);
  free(text);
}

// each_input obeys inputs with their length before them.
static int each_input(void (*obey)(const unsigned char *, size_t)) {
  unsigned char head[4];
  while (fread(head, 1, 4, stdin) == 4) {
    size_t size = frame_get32(head);
    unsigned char *bytes = malloc(size + !size); // exact, for a sanitizer
    if (fread(bytes, 1, size, stdin) != size) return 1;
    obey(bytes, size);
    free(bytes);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  if (strcmp(argv[1], "fuzz") == 0) return each_input(say_answer);
  if (strcmp(argv[1], "sum") == 0) return each_input(say_sum);
  if (strcmp(argv[1], "text") == 0) return each_input(say_text);
  return each_line(argv[2], strcmp(argv[1], "sealed") == 0 ? check_sealed : check);
}
