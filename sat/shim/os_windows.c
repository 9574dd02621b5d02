//go:build ignore

// Sockets, clock, threads, files on Windows 7 and later. Nothing happens while
// the system loads or unloads the library, except that it is pinned: a POS that
// frees it after each sale must not take away the replies it was given.
#define _WIN32_WINNT 0x0601
#define WIN32_LEAN_AND_MEAN
#include "zelo.h"

#include <winsock2.h>
#include <windows.h>

#include <mstcpip.h>
#include <string.h>

#define PATH 1024 // of a path in UTF-16

static HINSTANCE self;

BOOL WINAPI DllMainCRTStartup(HINSTANCE module, DWORD reason, LPVOID reserved) {
  HMODULE pinned;
  (void)reserved;
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
  self = module;
  DisableThreadLibraryCalls(module);
  GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, (LPCWSTR)(void *)DllMainCRTStartup, &pinned);
  return TRUE;
}

static SRWLOCK lock = SRWLOCK_INIT;

void os_lock(void) { AcquireSRWLockExclusive(&lock); }
void os_unlock(void) { ReleaseSRWLockExclusive(&lock); }

uint64_t os_thread(void) { return GetCurrentThreadId(); }
uint32_t os_pid(void) { return GetCurrentProcessId(); }

int64_t os_now(void) { return (int64_t)GetTickCount64(); }

int64_t os_unix_ms(void) {
  FILETIME t;
  GetSystemTimeAsFileTime(&t);
  return (((int64_t)t.dwHighDateTime << 32 | t.dwLowDateTime) - 116444736000000000LL) / 10000; // 1601 to 1970, in 100 ns
}

// RtlGenRandom, as it is really called.
BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG size);

int os_random(void *bytes, size_t size) { return SystemFunction036(bytes, (ULONG)size); }

// wide takes UTF-8, or else what the system's programs write into text files.
static int wide(const char *text, WCHAR *to) {
  if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text, -1, to, PATH) > 0) return 1;
  return MultiByteToWideChar(CP_ACP, 0, text, -1, to, PATH) > 0;
}

static int narrow(const WCHAR *text, char *to, size_t room) {
  return WideCharToMultiByte(CP_UTF8, 0, text, -1, to, (int)room, NULL, NULL) > 0;
}

void os_process(char *name, size_t room) {
  WCHAR path[PATH];
  DWORD size = GetModuleFileNameW(NULL, path, PATH);
  if (size == 0 || size == PATH) return;
  const WCHAR *slash = wcsrchr(path, '\\');
  if (!narrow(slash ? slash + 1 : path, name, room)) name[0] = 0;
}

// wait_for waits until the connection can be read or written, or is broken.
static int wait_for(SOCKET conn, int writing, int64_t until) {
  fd_set ready, broken;
  int64_t ms = until - os_now();
  if (ms <= 0) return 0;
  struct timeval time = {(long)(ms / 1000), (long)(ms % 1000) * 1000};
  FD_ZERO(&ready);
  FD_ZERO(&broken);
  FD_SET(conn, &ready);
  FD_SET(conn, &broken);
  return select(0, writing ? NULL : &ready, writing ? &ready : NULL, &broken, &time) > 0;
}

// new_socket starts the system's sockets when this process has none yet, or has
// ended them once too often.
static SOCKET new_socket(void) {
  WSADATA data;
  SOCKET s = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
  if (s != INVALID_SOCKET || WSAGetLastError() != WSANOTINITIALISED) return s;
  WSAStartup(MAKEWORD(2, 2), &data);
  return socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
}

// impatient makes a refused connection on this computer fail at once: Windows
// asks twice more, half a second apart, and a till waits. What an older Windows
// does not know stays as it is.
static void impatient(SOCKET conn) {
  DWORD unused;
  struct { // TCP_INITIAL_RTO_PARAMETERS
    USHORT rtt;
    UCHAR retransmissions;
  } once = {0xFFFF, 0xFE}, twice = {0xFFFF, 1};
  DWORD code = _WSAIOW(IOC_VENDOR, 17); // SIO_TCP_INITIAL_RTO
  if (WSAIoctl(conn, code, &once, sizeof once, NULL, 0, &unused, NULL, NULL) != 0)
    WSAIoctl(conn, code, &twice, sizeof twice, NULL, 0, &unused, NULL, NULL);
}

static int connected(SOCKET conn, const struct config *cfg, int64_t until) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(cfg->port), .sin_addr.s_addr = htonl(cfg->host)};
  u_long yes = 1;
  int error = 0, size = sizeof error;
  SetHandleInformation((HANDLE)conn, HANDLE_FLAG_INHERIT, 0);
  setsockopt(conn, IPPROTO_TCP, TCP_NODELAY, (char *)&yes, sizeof yes);
  if (cfg->host >> 24 == 127) impatient(conn);
  if (ioctlsocket(conn, FIONBIO, &yes) != 0) return 0;
  if (connect(conn, (struct sockaddr *)&address, sizeof address) == 0) return 1;
  if (WSAGetLastError() != WSAEWOULDBLOCK || !wait_for(conn, 1, until)) return 0;
  return getsockopt(conn, SOL_SOCKET, SO_ERROR, (char *)&error, &size) == 0 && error == 0;
}

int os_connect(const struct config *cfg, int64_t until, intptr_t *conn) {
  SOCKET s = new_socket();
  if (s == INVALID_SOCKET) return 0;
  *conn = (intptr_t)s;
  if (connected(s, cfg, until)) return 1;
  closesocket(s);
  return 0;
}

// os_send reports in *sent the bytes the system took; none means that the other
// side cannot have any.
int os_send(intptr_t conn, const unsigned char *bytes, size_t size, int64_t until, size_t *sent) {
  *sent = 0;
  while (*sent < size) {
    int n = send((SOCKET)conn, (const char *)bytes + *sent, (int)(size - *sent), 0);
    if (n >= 0) *sent += (size_t)n;
    else if (WSAGetLastError() != WSAEWOULDBLOCK || !wait_for((SOCKET)conn, 1, until)) return 0;
  }
  return 1;
}

int os_receive(intptr_t conn, unsigned char *bytes, size_t size, int64_t until) {
  size_t have = 0;
  while (have < size) {
    int n = recv((SOCKET)conn, (char *)bytes + have, (int)(size - have), 0);
    if (n == 0) return 0;
    if (n > 0) have += (size_t)n;
    else if (WSAGetLastError() != WSAEWOULDBLOCK || !wait_for((SOCKET)conn, 0, until)) return 0;
  }
  return 1;
}

// os_disconnect ends the connection even if a child process holds a copy of it.
void os_disconnect(intptr_t conn) {
  shutdown((SOCKET)conn, SD_BOTH);
  closesocket((SOCKET)conn);
}

int os_environment(const char *name, char *value, size_t room) {
  WCHAR wanted[PATH], found[PATH];
  if (!wide(name, wanted)) return 0;
  DWORD size = GetEnvironmentVariableW(wanted, found, PATH);
  return size > 0 && size < PATH && narrow(found, value, room);
}

// data_path is a path in the folder of all users' program data.
static void data_path(const char *name, char *path, size_t room) {
  char folder[MAX_PATH_BYTES];
  if (!os_environment("ProgramData", folder, sizeof folder)) strcpy(folder, "C:\\ProgramData");
  struct text t = {path, path + room - 1};
  text_put(&t, folder);
  text_put(&t, "\\Zelo\\");
  text_put(&t, name);
}

void os_defaults(struct config *cfg) {
  cfg->host = INADDR_LOOPBACK;
  cfg->port = ZELO_PORT;
  strcpy(cfg->lock, "ZeloEquipamento");
  data_path("ponte", cfg->spool, sizeof cfg->spool);
}

int os_settings(int n, char *path, size_t room) {
  WCHAR library[PATH];
  if (n == 0) data_path("sat.ini", path, room);
  if (n != 1) return n == 0;
  DWORD size = GetModuleFileNameW(self, library, PATH - 8);
  WCHAR *slash = size > 0 && size < PATH - 8 ? wcsrchr(library, '\\') : NULL;
  if (!slash) return 0;
  wcscpy(slash + 1, L"sat.ini");
  return narrow(library, path, room);
}

static HANDLE open_file(const char *path, DWORD access, DWORD how) {
  WCHAR name[PATH];
  if (!wide(path, name)) return INVALID_HANDLE_VALUE;
  return CreateFileW(name, access, FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, NULL, how, FILE_ATTRIBUTE_NORMAL, NULL);
}

size_t os_read(const char *path, char *text, size_t room) {
  DWORD size = 0;
  HANDLE file = open_file(path, GENERIC_READ, OPEN_EXISTING);
  if (file != INVALID_HANDLE_VALUE) {
    if (!ReadFile(file, text, (DWORD)(room - 1), &size, NULL)) size = 0;
    CloseHandle(file);
  }
  text[size] = 0;
  return size;
}

int os_create(const char *path, intptr_t *file) {
  *file = (intptr_t)open_file(path, GENERIC_WRITE, CREATE_NEW);
  return (HANDLE)*file != INVALID_HANDLE_VALUE;
}

int os_append(intptr_t file, const void *bytes, size_t size) {
  DWORD written;
  return WriteFile((HANDLE)file, bytes, (DWORD)size, &written, NULL) && written == size && FlushFileBuffers((HANDLE)file);
}

void os_close(intptr_t file) { CloseHandle((HANDLE)file); }

void os_remove(const char *path) {
  WCHAR name[PATH];
  if (wide(path, name)) DeleteFileW(name);
}

// A maker's library finds the libraries it needs in its own folder first, and
// what is missing does not stop the till with a message box.
void *os_library(const char *path) {
  WCHAR name[PATH];
  DWORD mode;
  if (!path[0] || path[1] != ':' || !wide(path, name)) return NULL;
  SetThreadErrorMode(SEM_FAILCRITICALERRORS | SEM_NOOPENFILEERRORBOX, &mode);
  HMODULE library = LoadLibraryExW(name, NULL, LOAD_WITH_ALTERED_SEARCH_PATH);
  SetThreadErrorMode(mode, NULL);
  return library;
}

void *os_symbol(void *library, const char *name) { return (void *)GetProcAddress(library, name); }

// named_mutex opens or makes a mutex that every user's programs may wait for.
static HANDLE named_mutex(const WCHAR *space, const char *lock) {
  WCHAR name[PATH], full[PATH + 16];
  SECURITY_DESCRIPTOR everybody;
  SECURITY_ATTRIBUTES attributes = {sizeof attributes, &everybody, FALSE};
  if (!wide(lock, name)) return NULL;
  wcscpy(full, space);
  wcscat(full, name);
  InitializeSecurityDescriptor(&everybody, SECURITY_DESCRIPTOR_REVISION);
  SetSecurityDescriptorDacl(&everybody, TRUE, NULL, FALSE);
  return CreateMutexExW(&attributes, full, 0, SYNCHRONIZE | MUTEX_MODIFY_STATE);
}

// A program that died in a call leaves the mutex behind; the device is free.
enum reserve os_reserve(const char *lock, int64_t until, intptr_t *guard) {
  HANDLE mutex = named_mutex(L"Global\\", lock);
  if (!mutex) mutex = named_mutex(L"Local\\", lock);
  if (!mutex) return NO_SUCH_LOCK;
  int64_t ms = until - os_now();
  DWORD got = WaitForSingleObject(mutex, ms > 0 ? (DWORD)ms : 0);
  if (got == WAIT_OBJECT_0 || got == WAIT_ABANDONED) {
    *guard = (intptr_t)mutex;
    return RESERVED;
  }
  CloseHandle(mutex);
  return STILL_IN_USE;
}

void os_release(intptr_t guard) {
  ReleaseMutex((HANDLE)guard);
  CloseHandle((HANDLE)guard);
}
