/* uuid.parse (RFC 4122). What is no UUID has no answer, without an error. */
#include "policy/builtin.h"
#include "policy/text.h"
#include "policy/value.h"

#include <stdio.h>
#include <strings.h>

enum { UUID_BYTES = 16, HEX_DIGITS = 32, HYPHENATED = 36 };

/* Plain digits, hyphenated, in braces or with "urn:uuid:" in front. */
static bool parse(const char *s, size_t len, uint8_t ret[UUID_BYTES])
{
    if (len == HYPHENATED + 9 && strncasecmp(s, "urn:uuid:", 9) == 0) s += 9, len -= 9;
    if (len == HYPHENATED + 2 && s[0] == '{' && s[len - 1] == '}') s += 1, len -= 2;
    if (len != HEX_DIGITS && len != HYPHENATED) return false;
    for (size_t i = 0; i < UUID_BYTES; i++) {
        bool hyphen = len == HYPHENATED && (i == 4 || i == 6 || i == 8 || i == 10);

        if (hyphen && *s++ != '-') return false;
        int high = hex_digit(s[0]), low = hex_digit(s[1]);
        if (high < 0 || low < 0) return false;
        ret[i] = (uint8_t) (high << 4 | low);
        s += 2;
    }
    return true;
}

static uint64_t big_endian(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++) value = value << 8 | at[i];
    return value;
}

static const char *variant_name(uint8_t byte)
{
    if ((byte & 0xC0) == 0x80) return "RFC4122";
    if ((byte & 0xE0) == 0xC0) return "Microsoft";
    return (byte & 0xE0) == 0xE0 ? "Future" : "Reserved";
}

struct fields {
    struct arena *arena;
    struct value_builder b;
};

static void put(struct fields *f, const char *name, const struct value *v)
{
    value_builder_put(&f->b, value_string_z(f->arena, name), v);
}

static void put_text(struct fields *f, const char *name, const char *text)
{
    put(f, name, value_string_z(f->arena, text));
}

static void put_int(struct fields *f, const char *name, int64_t i)
{
    put(f, name, value_int(f->arena, i));
}

/* 100 ns since 15 October 1582; version 2 lacks the low 32 bits, which hold an identifier. */
static int64_t unix_nanoseconds(const uint8_t u[UUID_BYTES])
{
    const uint64_t epoch = 122192928000000000u;
    uint64_t ticks = (big_endian(u + 6, 2) & 0x0FFF) << 48 | big_endian(u + 4, 2) << 32 | big_endian(u, 4);

    return (int64_t) ((ticks - epoch) * 100);
}

static void put_time_based(struct fields *f, const uint8_t u[UUID_BYTES], unsigned version)
{
    static const char *const scopes[] = { "global:unicast", "global:multicast", "local:unicast",
                                          "local:multicast" };
    static const char *const domains[] = { "Person", "Group", "Org" };
    char text[32];

    put_int(f, "time", unix_nanoseconds(u));
    put_int(f, "clocksequence", (int64_t) (big_endian(u + 8, 2) & 0x3FFF));
    put_text(f, "macvariables", scopes[u[10] & 3]);
    snprintf(text, sizeof text, "%02x-%02x-%02x-%02x-%02x-%02x", u[10], u[11], u[12], u[13], u[14], u[15]);
    put_text(f, "nodeid", text);
    if (version != 2) return;
    put_int(f, "id", (int64_t) big_endian(u, 4));
    snprintf(text, sizeof text, "Domain%u", u[9]);
    put_text(f, "domain", u[9] < 3 ? domains[u[9]] : text);
}

const struct value *builtin_uuid_parse(struct builtin_call *call, const struct value *const *args)
{
    uint8_t u[UUID_BYTES];
    struct fields f = { .arena = call->arena };

    if (!parse(args[0]->string, args[0]->count, u)) return NULL;
    unsigned version = u[6] >> 4;
    value_builder_init(&f.b, call->arena, VALUE_OBJECT);
    put_int(&f, "version", version);
    put_text(&f, "variant", variant_name(u[8]));
    if (version == 1 || version == 2) put_time_based(&f, u, version);
    return builtin_builder_end(call, &f.b);
}
