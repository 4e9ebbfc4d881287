#include "broker/cmd/import_postgres.h"

#include "broker/base/clock.h"
#include "broker/base/limits.h"
#include "broker/base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define BINARY 1
#define WHERE_PASSWORDS_BELONG \
    "put it in ~/.pgpass or the file that PGPASSFILE names (mode 0600), as psql reads it"

struct import_postgres {
    PGconn *conn;
    char place[120]; /* for reports: "postgresql DB on HOST" */
};

/* ---- what the user gave -------------------------------------------------------------------- */

static bool has_secret(const PQconninfoOption *options)
{
    for (const PQconninfoOption *o = options; o->keyword; o++)
        if (o->val && o->val[0] &&
            (strcmp(o->keyword, "password") == 0 || strcmp(o->keyword, "sslpassword") == 0))
            return true;
    return false;
}

struct err import_postgres_check_url(const char *url)
{
    char *why = NULL;
    PQconninfoOption *options = PQconninfoParse(url, &why);
    PQfreemem(why); /* it may quote the password, so it is not shown */
    if (!options)
        FAIL(ERR_USAGE, "this is no connection URL such as postgresql://user@host:5432/database");
    bool secret = has_secret(options);
    PQconninfoFree(options);
    if (secret)
        FAIL(ERR_USAGE, "the URL holds a password, which everybody sees in the list of processes; "
             WHERE_PASSWORDS_BELONG);
    return ERR_OK;
}

/* ---- the way to the server ----------------------------------------------------------------- */

static bool stays_here(const struct sockaddr *peer)
{
    if (peer->sa_family == AF_UNIX) return true;
    if (peer->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *) peer;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (peer->sa_family != AF_INET6) return false;
    const struct sockaddr_in6 *in6 = (const void *) peer;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr) && in6->sin6_addr.s6_addr[12] == 127;
    return mapped || IN6_IS_ADDR_LOOPBACK(&in6->sin6_addr);
}

enum import_way import_postgres_way(const struct sockaddr *peer, bool tls, const char *sslmode)
{
    if (stays_here(peer)) return IMPORT_WAY_GOOD;
    if (!tls) return IMPORT_WAY_OPEN;
    bool verified = sslmode && (strcmp(sslmode, "verify-full") == 0 || strcmp(sslmode, "verify-ca") == 0);
    return verified ? IMPORT_WAY_GOOD : IMPORT_WAY_UNVERIFIED;
}

/* A setting, wherever it was set: in the URL, a service, or the environment. All that libpq gives here
 * is a copy, a password among it, so it is wiped. */
static void get_setting(PGconn *conn, const char *keyword, char *ret, size_t size)
{
    PQconninfoOption *options = PQconninfo(conn);
    ret[0] = '\0';
    for (PQconninfoOption *o = options; o && o->keyword; o++) {
        if (!o->val) continue;
        if (strcmp(o->keyword, keyword) == 0) snprintf(ret, size, "%s", o->val);
        explicit_bzero(o->val, strlen(o->val));
    }
    PQconninfoFree(options);
}

/* Asks the socket: names may lie, and libpq's own answer prefers the name it was given. */
static err_t check_way(PGconn *conn, const char **ret_warning)
{
    struct sockaddr_storage peer = {0};
    socklen_t len = sizeof peer;
    char sslmode[16];
    if (getpeername(PQsocket(conn), (struct sockaddr *) &peer, &len) != 0)
        FAIL_ERRNO(ERR_TOKEN_DOWN, "PostgreSQL: the connection has gone");
    get_setting(conn, "sslmode", sslmode, sizeof sslmode);
    enum import_way way =
        import_postgres_way((const struct sockaddr *) &peer, PQsslInUse(conn) != 0, sslmode);
    if (way == IMPORT_WAY_OPEN)
        FAIL(ERR_USAGE, "the server is reached over a network without TLS, where others can read the "
             "secrets: say sslmode=verify-full in the URL, or set PGSSLMODE");
    *ret_warning = way == IMPORT_WAY_GOOD ? NULL
        : "warning: nobody has verified who the PostgreSQL server is, so another may stand in its place: "
          "say sslmode=verify-full in the URL, or set PGSSLMODE";
    return ERR_OK;
}

/* ---- the server ---------------------------------------------------------------------------- */

static void be_quiet(void *arg, const char *message)
{
    (void) arg, (void) message;
}

/* libpq's messages end in a line break and may have several lines. */
static err_t server_error(const PGconn *conn, enum err_class code, const char *what)
{
    char text[180];
    const char *message = PQerrorMessage(conn);
    size_t len = strcspn(message, "\n");
    log_escape(text, sizeof text, span_of(message, len));
    FAIL(code, "%s: %s", what, text);
}

/* 0: no end, as libpq has it. */
static uint64_t connect_deadline(PGconn *conn)
{
    char text[16];
    get_setting(conn, "connect_timeout", text, sizeof text);
    long seconds = strtol(text, NULL, 10);
    return seconds > 0 ? clock_mono_ns() + (uint64_t) seconds * CLOCK_SECOND_NS : 0;
}

static err_t wait_for(PGconn *conn, PostgresPollingStatusType what, uint64_t deadline)
{
    struct pollfd fd = {.fd = PQsocket(conn), .events = what == PGRES_POLLING_READING ? POLLIN : POLLOUT};
    for (;;) {
        uint64_t now = clock_mono_ns(), left_ms = INT_MAX;
        if (deadline && now >= deadline)
            FAIL(ERR_TOKEN_DOWN, "PostgreSQL: no connection within connect_timeout");
        if (deadline) left_ms = (deadline - now) / (CLOCK_SECOND_NS / 1000) + 1;
        int n = poll(&fd, 1, left_ms < INT_MAX ? (int) left_ms : INT_MAX);
        if (n > 0) return ERR_OK;
        if (n < 0 && errno != EINTR) FAIL_ERRNO(ERR_INTERNAL, "PostgreSQL: cannot wait for the server");
    }
}

/* Step by step, since the way is looked at before a password goes along it: a server that has yet to
 * answer has been sent no more than the names of user and database, and libpq comes back once before it
 * reads that answer, for each host of a list and each try with or without TLS. */
static err_t connect_on_good_way(PGconn *conn, const char **ret_warning)
{
    uint64_t deadline = connect_deadline(conn);
    PostgresPollingStatusType what = PGRES_POLLING_WRITING;
    if (PQstatus(conn) == CONNECTION_BAD) return server_error(conn, ERR_TOKEN_DOWN, "PostgreSQL");
    while (what != PGRES_POLLING_OK) {
        if (PQstatus(conn) == CONNECTION_AWAITING_RESPONSE) TRY(check_way(conn, ret_warning));
        TRY(wait_for(conn, what, deadline));
        what = PQconnectPoll(conn);
        if (what == PGRES_POLLING_FAILED) return server_error(conn, ERR_TOKEN_DOWN, "PostgreSQL");
    }
    return check_way(conn, ret_warning);
}

/* A result, wiped before it is freed: it may have held a value. */
static void clear(PGresult **r)
{
    if (!*r) return;
    if (PQresultStatus(*r) == PGRES_TUPLES_OK && PQfformat(*r, 0) == BINARY)
        for (int i = 0; i < PQntuples(*r); i++)
            explicit_bzero(PQgetvalue(*r, i, 0), (size_t) PQgetlength(*r, i, 0));
    PQclear(*r);
}
#define _cleanup_result_ _cleanup_(clear)

static err_t run(struct import_postgres *p, const char *sql)
{
    _cleanup_result_ PGresult *r = PQexec(p->conn, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        return server_error(p->conn, ERR_TOKEN_DOWN, p->place);
    return ERR_OK;
}

struct err import_postgres_open(const char *conninfo, struct import_postgres **ret,
                                const char **ret_warning)
{
    const char *const keys[] = {"dbname", "fallback_application_name", "client_encoding", NULL};
    const char *const values[] = {conninfo, "strongroom import", "UTF8", NULL};
    _cleanup_(import_postgres_closep) struct import_postgres *p = calloc(1, sizeof *p);
    if (!p) FAIL(ERR_INTERNAL, "out of memory");
    if (getenv("PGPASSWORD"))
        FAIL(ERR_USAGE, "a password stands in the environment (PGPASSWORD), where others may see it; "
             WHERE_PASSWORDS_BELONG);
    p->conn = PQconnectStartParams(keys, values, 1);
    if (!p->conn) FAIL(ERR_INTERNAL, "out of memory");
    TRY(connect_on_good_way(p->conn, ret_warning));
    PQsetNoticeProcessor(p->conn, be_quiet, NULL);
    snprintf(p->place, sizeof p->place, "postgresql %.50s on %.50s", PQdb(p->conn),
             PQhost(p->conn));
    TRY(run(p, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"));
    *ret = TAKE_PTR(p);
    return ERR_OK;
}

void import_postgres_close(struct import_postgres *p)
{
    if (!p) return;
    PQfinish(p->conn);
    free(p);
}

/* ---- a table ------------------------------------------------------------------------------- */

/* One query with at most one parameter, a text; the answer is binary. */
static err_t ask(struct import_postgres *p, const char *sql, struct span parameter,
                 PGresult **ret)
{
    const char *values[] = {(const char *) parameter.data};
    const int lengths[] = {(int) parameter.len}, formats[] = {BINARY};
    _cleanup_result_ PGresult *r = PQexecParams(p->conn, sql, parameter.data ? 1 : 0, NULL, values,
                                                lengths, formats, BINARY);
    if (PQresultStatus(r) != PGRES_TUPLES_OK)
        return server_error(p->conn, ERR_TOKEN_DOWN, p->place);
    *ret = TAKE_PTR(r);
    return ERR_OK;
}

struct row {
    struct import_postgres *p;
    enum kbs_space space;
    struct span key;
};

/* The value alone, and only when it is not too large: what is too large never leaves the server. */
static err_t read_value(void *arg, size_t max, struct secret **ret)
{
    const struct row *row = arg;
    char sql[160];
    _cleanup_result_ PGresult *r = NULL;
    snprintf(sql, sizeof sql, "SELECT CASE WHEN octet_length(value) <= %zu THEN value END FROM %s "
             "WHERE key = $1", max, kbs_space_name(row->space));
    TRY(ask(row->p, sql, row->key, &r));
    if (PQntuples(r) != 1) FAIL(ERR_NOTFOUND, "it has gone meanwhile");
    if (PQgetisnull(r, 0, 0))
        FAIL(ERR_TOOLARGE, "it is null or has more than the limit of %zu bytes", max);
    return secret_copy(span_of(PQgetvalue(r, 0, 0), (size_t) PQgetlength(r, 0, 0)), ret);
}

static err_t offer(struct import_postgres *p, enum kbs_space space, struct span key,
                   const struct import_walk *walk)
{
    char place[200];
    snprintf(place, sizeof place, "%s, table %s", p->place, kbs_space_name(space));
    struct row row = {p, space, key};
    const struct import_entry e = {.space = space, .key = key, .place = place, .keyed = true,
                                   .read = read_value, .arg = &row};
    return import_offer(walk, &e);
}

/* The tables are looked up as the KBS does it, by search_path. */
struct err import_postgres_has(struct import_postgres *p, enum kbs_space space, bool *ret)
{
    _cleanup_result_ PGresult *r = NULL;
    TRY(ask(p, "SELECT to_regclass($1)", span_str(kbs_space_name(space)), &r));
    *ret = !PQgetisnull(r, 0, 0);
    return ERR_OK;
}

struct err import_postgres_walk(struct import_postgres *p, enum kbs_space space,
                                const struct import_walk *walk)
{
    char sql[120];
    _cleanup_result_ PGresult *r = NULL;
    bool there = false;
    TRY(import_postgres_has(p, space, &there));
    if (!there) FAIL(ERR_NOTFOUND, "%s has no table %s", p->place, kbs_space_name(space));
    snprintf(sql, sizeof sql, "SELECT key FROM %s ORDER BY key COLLATE \"C\" LIMIT %u",
             kbs_space_name(space), IMPORT_MAX_ENTRIES + 1);
    TRY(ask(p, sql, span_of(NULL, 0), &r));
    if (PQntuples(r) > (int) IMPORT_MAX_ENTRIES)
        FAIL(ERR_TOOLARGE, "%s, table %s has more than %u rows; move them in parts", p->place,
             kbs_space_name(space), IMPORT_MAX_ENTRIES);
    for (int i = 0; i < PQntuples(r); i++)
        TRY(offer(p, space, span_of(PQgetvalue(r, i, 0), (size_t) PQgetlength(r, i, 0)), walk));
    return ERR_OK;
}
