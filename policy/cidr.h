/* Internet addresses and prefixes as text and numbers. Nothing is looked up. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CIDR_TEXT = 64 };

/* IPv4 stands in the last four bytes behind ::ffff, as Go and RFC 4291 2.5.5.2 have it. */
struct ip {
    uint8_t bytes[16];
    bool v4;
};

struct cidr {
    struct ip first; /* the bits behind the prefix are zero */
    unsigned bits;   /* of the prefix, 0..32 or 0..128 by family */
};

/* RFC 4291 2.2 and dotted quads without leading zeros; an IPv4-mapped address is IPv4. */
bool ip_parse(const char *text, size_t len, struct ip *ret);
/* "address/bits"; host bits are cleared. */
bool cidr_parse(const char *text, size_t len, struct cidr *ret);

unsigned ip_width(const struct ip *ip); /* 32 or 128 */
int ip_compare(const struct ip *x, const struct ip *y);
bool ip_next(struct ip *ip);     /* false at the last address of its family: unchanged */
bool ip_previous(struct ip *ip); /* false at the first one */

struct cidr cidr_of(struct ip ip, unsigned bits);
struct ip cidr_last(const struct cidr *c);
bool cidr_has(const struct cidr *c, const struct ip *ip);

/* RFC 5952 */
void ip_text(const struct ip *ip, char out[CIDR_TEXT]);
void cidr_text(const struct cidr *c, char out[CIDR_TEXT]);
