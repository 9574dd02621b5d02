// What a host needs of its system: host_posix.c, host_windows.c.
#ifndef HOST_H
#define HOST_H

typedef struct thread thread;

void system_start(void);
void *library_load(const char *path); // ends the program when it cannot
void library_free(void *library);
void *library_symbol(void *library, const char *name); // NULL when there is none
thread *thread_start(void *(*run)(void *), void *argument);
void *thread_join(thread *t);
long long clock_ns(void);
long memory_kib(void); // of this process, resident
int popped(void *function); // words a function takes off the stack

// system_command obeys commands that only this system knows; 0 when it is none.
int system_command(char **words, int count);

// Of host.c, for them.
int own(int session);
int calling_wrong(void);
void calling_start(thread **all, int count);
void calling_stop(thread **all, int count);

#endif
