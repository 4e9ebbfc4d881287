#include "tests/fault/fault.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool hooked;
/* In the static block: LeakSanitizer stumbles over thread-local memory of an unloaded library. */
static __thread unsigned long truncations_left __attribute__((tls_model("initial-exec")));

void die(unsigned effects)
{
    if (effects & SEGV) raise(SIGSEGV); /* as a crash would: who handles it, may */
    if (!(effects & KILL)) return;
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* ---- within a call: SoftHSM empties a file, then writes it anew ---------------------------- */

static int truncate_and_die(int fd, off_t len)
{
    int done = ftruncate(fd, len);
    if (done == 0 && truncations_left && --truncations_left == 0) die(KILL);
    return done;
}

void death_within(unsigned long n)
{
    if (n && !hooked) refuse("within: the real module's ftruncate was not found");
    truncations_left = n;
}

static void put_hook(ElfW(Addr) at)
{
    uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    void *start = (void *) (at & ~(page - 1));
    void *hook = (void *) truncate_and_die;
    if (mprotect(start, page, PROT_READ | PROT_WRITE)) return;
    memcpy((void *) at, &hook, sizeof hook);
    mprotect(start, page, PROT_READ);
    hooked = true;
}

/* The slot through which the module calls ftruncate lies in its table of relocations. (A function
 * of that name in this library would not be called: the module is in a scope of its own.) */
void death_hook(void *module)
{
    struct link_map *map = NULL;
    if (dlinfo(module, RTLD_DI_LINKMAP, &map)) return;
    const ElfW(Sym) *symbols = NULL;
    const char *names = NULL;
    const ElfW(Rela) *slots = NULL;
    size_t bytes = 0;
    for (const ElfW(Dyn) *d = map->l_ld; d->d_tag != DT_NULL; d++) {
        if (d->d_tag == DT_SYMTAB) symbols = (const void *) d->d_un.d_ptr;
        if (d->d_tag == DT_STRTAB) names = (const void *) d->d_un.d_ptr;
        if (d->d_tag == DT_JMPREL) slots = (const void *) d->d_un.d_ptr;
        if (d->d_tag == DT_PLTRELSZ) bytes = d->d_un.d_val;
        if (d->d_tag == DT_PLTREL && d->d_un.d_val != DT_RELA) return;
    }
    if (!symbols || !names || !slots) return;
    for (size_t i = 0; i < bytes / sizeof *slots; i++) {
        const ElfW(Sym) *symbol = &symbols[ELF64_R_SYM(slots[i].r_info)];
        if (strcmp(names + symbol->st_name, "ftruncate") == 0)
            put_hook(map->l_addr + slots[i].r_offset);
    }
}
