/* What a text must look like before its owner sees it. Each gives NULL when the text will do, or
 * a static sentence that goes on after "`key` ". None of them quotes the text: somebody may have
 * written a PIN there. */
#pragma once

#include <stdbool.h>

const char *config_check_socket(const char *text);     /* "127.0.0.1:8080", "[::1]:0" */
bool config_is_loopback(const char *socket);           /* of those that config_check_socket takes */
const char *config_check_token_uri(const char *text);  /* RFC 7512 */
const char *config_check_pin_source(const char *text);
const char *config_check_key_uri(const char *text); /* file:PATH, credential:NAME, prompt */
const char *config_check_pointer(const char *text);    /* RFC 6901 */
const char *config_check_path(const char *text);       /* absolute */
const char *config_check_place(const char *text);      /* absolute, or a URL whose answer is believed */
const char *config_check_service(const char *text);    /* a URL that can be asked, without query */
