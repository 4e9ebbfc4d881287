#include "broker/config/config_check.h"

#include "broker/base/buf.h"
#include "broker/base/outbound.h"

#include <arpa/inet.h>
#include <string.h>

#define SOCKET_TEXT 64

static bool is_port(const char *text)
{
    unsigned value = 0;
    size_t len = strlen(text);
    if (len == 0 || len > 5) return false;
    for (const char *c = text; *c; c++) {
        if (*c < '0' || *c > '9') return false;
        value = value * 10 + (unsigned) (*c - '0');
    }
    return value <= 65535;
}

static bool is_address(const char *text, size_t len)
{
    char host[SOCKET_TEXT] = {0};
    uint8_t binary[sizeof(struct in6_addr)] = {0};
    bool v6 = len > 2 && text[0] == '[' && text[len - 1] == ']';
    if (v6) text++, len -= 2;
    if (len >= sizeof(host)) return false;
    memcpy(host, text, len);
    return inet_pton(v6 ? AF_INET6 : AF_INET, host, binary) == 1;
}

const char *config_check_socket(const char *text)
{
    const char *colon = strrchr(text, ':');
    if (colon && is_port(colon + 1) && is_address(text, (size_t) (colon - text))) return NULL;
    return "takes an address and a port, such as 127.0.0.1:8080 or [::1]:8080; names are not "
           "looked up";
}

bool config_is_loopback(const char *socket)
{
    return strncmp(socket, "127.", 4) == 0 || strncmp(socket, "[::1]:", 6) == 0;
}

const char *config_check_token_uri(const char *text)
{
    if (strcasestr(text, "pin-value"))
        return "holds a pin-value; a PIN never stands in this file: remove it, change that PIN "
               "and name its place in token.pin_source";
    if (strncmp(text, "pkcs11:", 7) != 0)
        return "takes an RFC 7512 URI, such as pkcs11:token=strongroom";
    if (strstr(text, "slot-id="))
        return "names a slot; slot numbers change, so name the token by token= or serial=";
    if (!strstr(text, "token=") && !strstr(text, "serial="))
        return "must name the token by token= (its label) or serial=";
    return NULL;
}

const char *config_check_pin_source(const char *text)
{
    bool file = strncmp(text, "file:/", 6) == 0 || text[0] == '/';
    bool credential = strncmp(text, "credential:", 11) == 0 && text[11] && !strchr(text + 11, '/');
    if (file || credential || strcmp(text, "prompt") == 0) return NULL;
    return "takes file:/path, credential:NAME or prompt; the PIN itself never stands in this file";
}

const char *config_check_key_uri(const char *text)
{
    if (strcasestr(text, "pin-value"))
        return "holds a pin-value; a PIN never stands in this file: remove it and change that PIN";
    if (strncmp(text, "pkcs11:", 7) != 0 || !strstr(text, "object="))
        return "takes an RFC 7512 URI that names a key by its label, such as "
               "pkcs11:object=NAME;type=private";
    return NULL;
}

const char *config_check_pointer(const char *text)
{
    return text[0] == '/' ? NULL : "takes JSON pointers (RFC 6901), such as /customized_claims/key";
}

const char *config_check_path(const char *text)
{
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0)
        return "names a place on the network; this is read from files only: fetch it, check it, "
               "and give its path";
    return text[0] == '/' ? NULL : "takes an absolute path";
}

const char *config_check_place(const char *text)
{
    if (text[0] == '/') return NULL;
    if (strncasecmp(text, "http://", 7) != 0 && strncasecmp(text, "https://", 8) != 0)
        return "takes an absolute path, a file:// URI or an https:// URL";
    if (!err_ok(outbound_check_url(text)))
        return "is no URL that can be asked: it needs a host, and has no user part and no fragment (#)";
    if (!err_ok(outbound_check_believed_url(text)))
        return "must be https:// (http:// on this host only), since anybody on the way could change "
               "the keys";
    return NULL;
}

const char *config_check_service(const char *text)
{
    if (err_ok(outbound_check_url(text)) && !strchr(text, '?')) return NULL;
    return "takes a URL of http:// or https:// with a host, such as http://127.0.0.1:50004; no user, "
           "query or fragment";
}
