/* Keeping the catalog true to what other writers do (DESIGN 3, Catalog). */
#include "broker/store/store_internal.h"

#include "broker/base/clock.h"
#include "broker/base/log.h"

#include <string.h>

#define LOOK_NS (STORE_EPOCH_MS * (CLOCK_SECOND_NS / 1000))
#define BLIND_NS (STORE_BLIND_MS * (CLOCK_SECOND_NS / 1000))
#define BEHIND_NS (STORE_BEHIND_SECONDS * CLOCK_SECOND_NS)

static err_t read_epoch(struct store *s, char ret[P11_EPOCH_TEXT])
{
    struct err e = p11_epoch_read(s->config.token, ret);
    if (e.code != ERR_NOTFOUND) return e;
    ret[0] = '\0'; /* nobody has written yet */
    return ERR_OK;
}

/* Whether the catalog is what a scan would give, as far as the epoch object tells. */
static bool is_current(struct store *s)
{
    char epoch[P11_EPOCH_TEXT] = "";
    uint64_t opening = p11_opening(s->config.token);
    if (!err_ok(read_epoch(s, epoch))) return false;
    SCOPED_LOCK(&s->lock);
    uint64_t now = clock_mono_ns();
    bool same = opening == s->opening && strcmp(epoch, s->epoch) == 0;
    if (same) s->behind_since = 0;
    else if (!s->behind_since) s->behind_since = now;
    if (s->doubt || !same || now >= s->next_scan) return false;
    s->stale = false;
    return true;
}

static err_t scan_token_locked(struct store *s, enum reading reading, struct catalog **ret)
{
    uint64_t opening = p11_opening(s->config.token);
    struct err loaded = load_catalog_locked(s, reading, ret);
    /* It went away in mid-scan, and is back. */
    if (loaded.code == ERR_TOKEN_DOWN && p11_opening(s->config.token) != opening)
        loaded = load_catalog_locked(s, READ_ALL, ret);
    return loaded;
}

/* Without a login a token shows no private object and says CKR_OK, and SoftHSM no object at all when its directory
 * vanishes (tokens.md 2.2). So that something is gone is believed only if the canary opens after the scan, in the
 * opening in which it began: a login lost meanwhile is either lost still, or came back with another opening. */
static err_t check_loss(struct store *s, const struct catalog *fresh, uint64_t opening)
{
    {
        SCOPED_LOCK(&s->lock);
        if (!s->catalog || fresh->objects >= s->catalog->objects) return ERR_OK;
    }
    if (p11_has_kek(s->config.token))
        TRYC(p11_check(s->config.token), "token '%s' shows fewer objects than before", p11_label(s->config.token));
    if (p11_opening(s->config.token) == opening) return ERR_OK;
    FAIL(ERR_TOKEN_DOWN, "token '%s' was opened again while its objects were read",
         p11_label(s->config.token));
}

/* What somebody changed within an object is found when every object is read, STORE_RESCAN_SECONDS after the last
 * time. Reading the news does not put that off. */
static void note_scan(struct store *s, enum reading reading)
{
    s->changes++;
    s->rescans++;
    s->behind_since = 0;
    if (reading != READ_ALL) return;
    s->doubt = false;
    s->next_scan = clock_mono_ns() + SCAN_NS;
}

static err_t replace_locked(struct store *s, enum reading reading)
{
    /* Before the scan, so that who writes meanwhile is noticed next time. An epoch object that
     * cannot be read counts as none: the next look finds a difference and scans again. */
    char epoch[P11_EPOCH_TEXT] = "";
    uint64_t opening = p11_opening(s->config.token);
    if (!err_ok(read_epoch(s, epoch))) epoch[0] = '\0';
    struct catalog *fresh = NULL;
    struct err e = token_failure(scan_token_locked(s, reading, &fresh));
    if (err_ok(e)) e = check_loss(s, fresh, opening);
    if (!err_ok(e)) catalog_free(TAKE_PTR(fresh));
    pthread_mutex_lock(&s->lock);
    s->stale = !err_ok(e);
    _cleanup_catalog_ struct catalog *old = NULL; /* freed after the lock is dropped */
    if (err_ok(e)) {
        old = s->catalog;
        s->catalog = fresh;
        note_scan(s, reading);
        memcpy(s->epoch, epoch, sizeof s->epoch);
        s->opening = opening;
    }
    pthread_mutex_unlock(&s->lock);
    if (err_ok(e)) manifest_take_locked(s, &s->catalog->manifest);
    if (err_ok(e)) manifest_sight_done(&s->catalog->manifest);
    return e;
}

struct err rescan_locked(struct store *s)
{
    return replace_locked(s, READ_ALL);
}

/* Handles of before tell nothing after another opening; and nothing is taken for granted when it is time to look
 * at everything, or when something went wrong. */
static enum reading how_much(struct store *s)
{
    uint64_t opening = p11_opening(s->config.token);
    SCOPED_LOCK(&s->lock);
    bool sure = s->catalog && opening == s->opening && !s->doubt && !s->stale;
    return sure && clock_mono_ns() < s->next_scan ? READ_NEWS : READ_ALL;
}

struct err refresh_locked(struct store *s)
{
    return is_current(s) ? ERR_OK : replace_locked(s, how_much(s));
}

struct err refresh_now(struct store *s)
{
    if (is_current(s)) return ERR_OK;
    TRY(job_moves());
    SCOPED_WORK(s);
    return refresh_locked(s); /* asks again: the one we waited for may have done it */
}

/* What was revoked may be in the catalog still. For the time that a scan takes that is so by design; a scan
 * that failed, or that hangs, ends it. */
static err_t check_stale_locked(const struct store *s, uint64_t now)
{
    if (!s->stale && (!s->behind_since || now - s->behind_since < BEHIND_NS)) return ERR_OK;
    FAIL(ERR_TOKEN_DOWN, "what token '%s' holds has changed and cannot be read at the moment",
         p11_label(s->config.token));
}

/* True for the one thread whose turn it is to look. */
static err_t take_turn(struct store *s, bool *ret_due)
{
    SCOPED_LOCK(&s->lock);
    uint64_t now = clock_mono_ns();
    *ret_due = now >= s->next_look;
    if (!*ret_due) return check_stale_locked(s, now);
    s->next_look = now + (s->refresher ? BLIND_NS : LOOK_NS);
    return ERR_OK;
}

struct err refresh_tick(struct store *s)
{
    bool due = false;
    TRY(take_turn(s, &due));
    if (!due || is_current(s)) return ERR_OK;
    TRY(job_moves());
    /* Taken: somebody rescans at this moment, or writes and has looked before. */
    if (pthread_mutex_trylock(&s->work) != 0) {
        SCOPED_LOCK(&s->lock);
        return check_stale_locked(s, clock_mono_ns());
    }
    struct err e = refresh_locked(s);
    pthread_mutex_unlock(&s->work);
    return e;
}

static bool changed_since(struct store *s, uint64_t changes)
{
    SCOPED_LOCK(&s->lock);
    return s->changes != changes;
}

struct err refresh_lost(struct store *s, uint64_t changes, bool again)
{
    if (changed_since(s, changes)) return ERR_OK;
    TRY(job_moves());
    SCOPED_WORK(s);
    if (changed_since(s, changes)) return ERR_OK;
    return replace_locked(s, again ? READ_ALL : how_much(s));
}

static bool owes_announcement(struct store *s)
{
    SCOPED_LOCK(&s->lock);
    return s->unannounced;
}

void announce_locked(struct store *s)
{
    /* Who wrote between our look and our touch would be forgotten: then what we remember stays
     * different, and the next look scans. */
    bool alone = is_current(s);
    char epoch[P11_EPOCH_TEXT] = "";
    struct err e = p11_epoch_touch(s->config.token, epoch);
    if (!err_ok(e) && !owes_announcement(s))
        log_warn_err(e, "store.epoch", LOG_S("effect", "other brokers see this write late"));
    SCOPED_LOCK(&s->lock);
    s->unannounced = !err_ok(e);
    if (err_ok(e) && alone) memcpy(s->epoch, epoch, sizeof s->epoch);
}

/* Nobody else looks as long as this succeeds often enough; a thread that the token holds up does not, and
 * readers look again. */
struct err refresh_watched(struct store *s)
{
    if (!is_current(s)) {
        SCOPED_WORK(s);
        TRY(refresh_locked(s));
    }
    if (owes_announcement(s)) {
        SCOPED_WORK(s);
        if (owes_announcement(s)) announce_locked(s);
    }
    SCOPED_LOCK(&s->lock);
    s->next_look = clock_mono_ns() + BLIND_NS;
    return ERR_OK;
}

struct err store_refresh(struct store *s)
{
    return refresh_now(s);
}

uint64_t store_rescans(struct store *s)
{
    if (!s->refresher) err_ignore(refresh_tick(s)); /* whoever reads next is told that the catalog is out of date */
    SCOPED_LOCK(&s->lock);
    return s->rescans;
}
