/* Frames of the wall: one call of PKCS#11, or an operation's start together with the operation, as
 * bytes between the broker and the helper that has the module (wall.h).
 *
 * Both are this program on this machine, so a frame is a row of 64-bit words as they lie in memory;
 * bytes stand behind a word with their length and are padded to whole words, so that all of a request is
 * aligned as a module expects it. What is not the same on both sides is trust: each checks all that
 * it reads, the broker because the module may have done anything to the helper.
 *
 *   request  [length of all, in bytes] [calls, 1 or 2] { [call] arguments }
 *   reply    [length of all, in bytes] [CK_RV] [which call it is of] results { bytes of results }
 *
 * A call's shape says what its arguments are, a letter each:
 *   u  number             i  bytes in        t  template in     m  mechanism in
 *   h  number out         o  bytes out       a  attributes out  f  structure out   l  numbers out
 *
 * No function here waits or blocks; a request or frame is used by one thread at a time. */
#pragma once

#include "broker/base/buf.h"
#include "broker/base/limits.h"

#include <p11-kit/pkcs11.h>
#include <sys/uio.h>

#define WALL_ARGS 6u               /* letters of a shape */
#define WALL_CALLS 2u              /* calls in one frame */
#define WALL_WORDS 1024u           /* of a request, less the bytes that are sent from where they are */
#define WALL_PIECES 64u
#define WALL_NO_BYTES UINT64_MAX   /* in place of a length: a NULL pointer */

/* One argument, as the function has it. A letter uses what stands beside it. */
struct wall_arg {
    CK_ULONG n;    /* u: the number; i, o: bytes, room; t, a: attributes; l: room in numbers; f: size */
    void *p;       /* i, o, l, f: where; t, a: CK_ATTRIBUTE[n]; m: CK_MECHANISM */
    CK_ULONG *ret; /* h: the number; o, l: how many there are */
};

struct wall_shape {
    const char *letters;
    size_t fixed; /* bytes of an f */
};

/* ---- the broker's side ------------------------------------------------------------------- */

struct wall_request {
    uint64_t words[WALL_WORDS];
    size_t used, cut;              /* words; those before cut are in pieces already */
    struct iovec pieces[WALL_PIECES];
    int piece_n;
    size_t total;                  /* bytes of all pieces */
    bool copies;                   /* bytes are copied: they need not outlive the call */
    bool failed;                   /* no room, or what cannot be told to a helper */
};

/* Empty, with `copies` as given. */
void wall_request_start(struct wall_request *r, bool copies);
/* One more call. Without `copies` the bytes must stay until the request is sent. */
void wall_request_add(struct wall_request *r, unsigned call, const struct wall_shape *shape,
                      const struct wall_arg *args);
/* Ends it: the pieces are all there is to send, in order. False when it failed. */
bool wall_request_end(struct wall_request *r);
/* Wipes what was copied into it. */
void wall_request_wipe(struct wall_request *r);

#define WALL_REPLY_HEAD 3u /* words: length, CK_RV, which call */
#define WALL_REPLY_WORDS (WALL_REPLY_HEAD + WALL_ATTRIBUTES + WALL_ARGS)
#define WALL_REPLY_PIECES (1u + WALL_ATTRIBUTES + WALL_ARGS)
/* Words that a reply to this begins with: the head and the results' lengths and numbers. */
size_t wall_reply_words(const struct wall_shape *shape, const struct wall_arg *args);
/* Takes them, stores numbers and lengths through the arguments, and says where the rest of the frame
 * belongs: ret_pieces, nowhere else and not a byte more than there is room.
 * False when no honest helper says so; then the arguments are as they were. */
bool wall_reply_take(const struct wall_shape *shape, struct wall_arg *args, const uint64_t *words,
                     size_t calls, CK_RV *ret_rv, struct iovec ret_pieces[WALL_REPLY_PIECES],
                     int *ret_piece_n);

/* ---- the helper's side ------------------------------------------------------------------- */

struct wall_mechanism {
    CK_MECHANISM mechanism;
    CK_GCM_PARAMS gcm;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
};

struct wall_call_in {
    unsigned call;
    struct wall_arg args[WALL_ARGS];
};

/* A decoded request. Pointers in it lead into the frame, or into the room for results. */
struct wall_frame {
    struct wall_call_in calls[WALL_CALLS];
    size_t call_n;
    size_t room;                   /* bytes that the results may take, each rounded up to words */
    struct wall_mechanism mechanisms[WALL_CALLS];
    size_t mechanism_n;
    CK_ATTRIBUTE attributes[WALL_CALLS * WALL_ATTRIBUTES];
    CK_ULONG rooms[WALL_CALLS * WALL_ATTRIBUTES]; /* of those that are asked for */
    size_t attribute_n;
    CK_ULONG numbers[WALL_CALLS * WALL_ARGS]; /* that results are counted in */
    size_t number_n;
};

/* The shape of a call; NULL for none. */
typedef const struct wall_shape *wall_shape_fn(uint64_t call);
/* Decodes a whole frame, aligned to words. False when no broker of ours sends that. Results have no
 * room yet: wall_frame_room gives it, of frame->room bytes, aligned, zeroed. */
bool wall_frame_decode(struct span frame, wall_shape_fn *shape_of, struct wall_frame *ret);
void wall_frame_room(struct wall_frame *f, wall_shape_fn *shape_of, void *room);
/* The reply after call number `done` gave rv: words, and pieces of them and of the results where they lie.
 * Returns how many pieces. */
int wall_reply_make(struct wall_frame *f, wall_shape_fn *shape_of, size_t done, CK_RV rv,
                    uint64_t words[WALL_REPLY_WORDS], struct iovec ret_pieces[WALL_REPLY_PIECES]);
