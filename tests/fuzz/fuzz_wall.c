/* Target Functions: wall_frame_decode wall_frame_room wall_reply_make wall_reply_words wall_reply_take */
#include "pkcs11/wall_calls.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void want(bool holds)
{
    if (!holds) abort();
}

#define ROOM_MAX (WALL_FRAME_MAX + WALL_REPLY_PIECES * 8)

static uint64_t room[ROOM_MAX / 8];
static volatile uint8_t sum; /* so that what is read is read */

/* As a module may do with all that it gets: every byte in is read, all room is written. */
static void use(const struct wall_shape *shape, struct wall_arg *a)
{
    for (const char *c = shape->letters; *c; c++, a++) {
        CK_ATTRIBUTE *attributes = a->p;
        for (CK_ULONG i = 0; *c == 'i' && a->p && i < a->n; i++) sum ^= ((const uint8_t *) a->p)[i];
        if (*c == 'o' && a->p) memset(a->p, 1, a->n);
        if (*c == 'l' && a->p) memset(a->p, 1, a->n * sizeof(CK_ULONG));
        if (*c == 'f') memset(a->p, 1, a->n);
        if (*c == 'h') *a->ret = 1;
        if (*c == 'm') want(a->p != NULL);
        for (CK_ULONG i = 0; *c == 't' && i < a->n; i++)
            for (CK_ULONG k = 0; attributes[i].pValue && k < attributes[i].ulValueLen; k++)
                sum ^= ((const uint8_t *) attributes[i].pValue)[k];
        for (CK_ULONG i = 0; *c == 'a' && i < a->n; i++)
            if (attributes[i].pValue) memset(attributes[i].pValue, 1, attributes[i].ulValueLen);
    }
}

static void fuzz_request(const uint64_t *words, size_t size)
{
    static struct wall_frame f;
    uint64_t head[WALL_REPLY_WORDS];
    struct iovec pieces[WALL_REPLY_PIECES];
    size_t total = 0;
    if (!wall_frame_decode(span_of(words, size), wall_call_shape, &f)) return;
    want(f.room <= ROOM_MAX && f.call_n >= 1 && f.call_n <= WALL_CALLS);
    wall_frame_room(&f, wall_call_shape, room);
    for (size_t i = 0; i < f.call_n; i++) use(wall_call_shape(f.calls[i].call), f.calls[i].args);
    int n = wall_reply_make(&f, wall_call_shape, f.call_n - 1, CKR_OK, head, pieces);
    for (int i = 0; i < n; i++) total += pieces[i].iov_len;
    want(head[0] == total && total <= ROOM_MAX + sizeof head);
}

/* The first word says which call the reply is of, and how much room there is for its results. */
static void fuzz_reply(const uint64_t *data, size_t words)
{
    unsigned call = data[0] % WALL_CALL_COUNT;
    CK_ULONG space = data[0] >> 8 & 0xff, number[WALL_ARGS], rv = 0;
    uint8_t *out[WALL_ARGS] = {0};
    CK_ATTRIBUTE attributes[2] = {{CKA_LABEL, NULL, 0}};
    uint64_t head[WALL_REPLY_WORDS] = {0};
    struct wall_arg args[WALL_ARGS] = {0};
    struct iovec pieces[WALL_REPLY_PIECES];
    const struct wall_shape *shape = wall_call_shape(call);
    int n = 0;
    for (unsigned i = 0; shape->letters[i]; i++) {
        char c = shape->letters[i];
        size_t each = c == 'l' ? sizeof(CK_ULONG) : 1;
        out[i] = malloc(c == 'f' ? shape->fixed : space * each + 1);
        args[i] = (struct wall_arg){.n = space, .p = out[i], .ret = &number[i]};
        if (c != 'a') continue;
        attributes[1] = (CK_ATTRIBUTE){CKA_VALUE, out[i], space};
        args[i] = (struct wall_arg){.n = 2, .p = attributes};
    }
    size_t wanted = wall_reply_words(shape, args);
    memcpy(head, data + 1, (words - 1 < wanted ? words - 1 : wanted) * sizeof *head);
    if (wall_reply_take(shape, args, head, 1 + (data[0] >> 16 & 1), &rv, pieces, &n))
        for (int i = 0; i < n; i++) memset(pieces[i].iov_base, 2, pieces[i].iov_len); /* it fits */
    for (unsigned i = 0; i < WALL_ARGS; i++) free(out[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t words = size / 8;
    if (!words) return 0;
    uint64_t *aligned = malloc(words * 8);
    memcpy(aligned, data, words * 8);
    fuzz_request(aligned, words * 8);
    fuzz_reply(aligned, words);
    free(aligned);
    return 0;
}
