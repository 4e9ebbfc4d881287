#include "broker/cmd/cmd.h"

#include "broker/base/log.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 24

static void print_help(const struct command *self, const struct opt *table, const char *operands,
                       const char *more)
{
    printf("strongroom %s%s%s: %s\n\nusage: strongroom %s%s%s [options]%s%s\n",
           self->group ? self->group : "", self->group ? " " : "", self->name, self->summary,
           self->group ? self->group : "", self->group ? " " : "", self->name,
           operands[0] ? " " : "", operands);
    if (more && more[0]) printf("\n%s\n", more);
    printf("\noptions:\n");
    for (const struct opt *o = table; o->name; o++) {
        char left[64];
        snprintf(left, sizeof left, "%s%c%s--%s%s%s", o->letter ? "-" : " ",
                 o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
                 o->arg ? " " : "", o->arg ? o->arg : "");
        printf("  %-28s %s\n", left, o->help);
    }
    printf("  %-28s %s\n", "-h, --help", "this text");
}

static err_t store_value(const struct opt *o, const char *text)
{
    char *end = NULL;
    unsigned long number;
    struct opt_list *list = o->target;
    switch (o->kind) {
    case OPT_FLAG: *(bool *) o->target = true; break;
    case OPT_TEXT: *(const char **) o->target = text; break;
    case OPT_NUMBER:
        number = strtoul(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || number > UINT32_MAX)
            FAIL(ERR_USAGE, "--%s wants a number, not \"%s\"", o->name, text);
        *(unsigned *) o->target = (unsigned) number;
        break;
    case OPT_LIST:
        if (list->count == OPT_LIST_MAX) FAIL(ERR_USAGE, "--%s more than %d times", o->name, OPT_LIST_MAX);
        list->at[list->count++] = text;
    }
    return ERR_OK;
}

static size_t make_getopt_table(const struct opt *table, struct option *longs, char *shorts)
{
    size_t n = 0, s = 0;
    shorts[s++] = ':';
    for (; table[n].name; n++) {
        ENSURE(n < OPTIONS_MAX);
        int has_arg = table[n].kind == OPT_FLAG ? no_argument : required_argument;
        longs[n] = (struct option){table[n].name, has_arg, NULL, 1000 + (int) n};
        if (!table[n].letter) continue;
        shorts[s++] = table[n].letter;
        if (has_arg) shorts[s++] = ':';
    }
    longs[n] = (struct option){"help", no_argument, NULL, 'h'};
    shorts[s++] = 'h';
    shorts[s] = '\0';
    return n;
}

static const struct opt *option_of(const struct opt *table, int c)
{
    if (c >= 1000) return &table[c - 1000];
    for (; table->name; table++)
        if (table->letter == c) return table;
    return NULL;
}

struct err opt_parse(const struct command *self, const struct opt *table, const char *operands,
                     const char *more_help, int argc, char **argv, size_t min, size_t max,
                     const char **ret_operands)
{
    struct option longs[OPTIONS_MAX + 2] = {0};
    char shorts[2 * OPTIONS_MAX + 4];
    make_getopt_table(table, longs, shorts);
    opterr = 0;
    optind = 1;
    for (int c; (c = getopt_long(argc, argv, shorts, longs, NULL)) != -1;) {
        if (c == 'h') {
            print_help(self, table, operands, more_help);
            exit(finish_output(0));
        }
        const struct opt *o = option_of(table, c);
        const char *word = argv[optind - 1];
        if (c == ':') FAIL(ERR_USAGE, "%s wants a value; see --help", word);
        if (!o && optopt > 0 && optopt < 256) FAIL(ERR_USAGE, "unknown option -%c; see --help", optopt);
        if (!o) FAIL(ERR_USAGE, "unknown option %s; see --help", word);
        TRY(store_value(o, optarg));
    }
    size_t given = (size_t) (argc - optind);
    if (given < min) FAIL(ERR_USAGE, "something is missing: wants %s; see --help", operands);
    if (given > max) FAIL(ERR_USAGE, "too much: \"%s\"; see --help", argv[optind + (int) max]);
    for (size_t i = 0; i < max; i++) ret_operands[i] = i < given ? argv[optind + (int) i] : NULL;
    return ERR_OK;
}

int finish_output(int code)
{
    bool failed = ferror(stdout) != 0; /* at an earlier write, whose errno is gone */
    errno = 0;
    if (fflush(stdout) == 0 && !failed) return code;
    fprintf(stderr, "strongroom: cannot write to standard output%s%s\n", errno ? ": " : "",
            errno ? strerror(errno) : "");
    return code ? code : err_exit_code(ERR_INTERNAL);
}

struct err opt_version(const char *text, const char *shown_by, uint64_t *ret)
{
    uint64_t n = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9' && n < INT64_MAX / 10; at++) n = 10 * n + (uint64_t) (*at - '0');
    char shown[60];
    if (*at || n == 0)
        FAIL(ERR_USAGE, "a version is a number from 1 on, not \"%s\"; `%s` shows them",
             log_escape(shown, sizeof shown, span_str(text)), shown_by);
    *ret = n;
    return ERR_OK;
}

struct err opt_if_match(const char *text, char ret_header[IF_MATCH_SIZE])
{
    size_t len = text ? strlen(text) : 0;
    bool quoted = len > 2 && text[0] == '"' && text[len - 1] == '"';
    size_t digits = text ? strspn(text + quoted, "0123456789") : 0;
    char shown[60];
    if (text && (digits == 0 || digits > 20 || digits + 2 * (size_t) quoted != len))
        FAIL(ERR_USAGE, "--if-match wants a version, such as 3, not \"%s\"",
             log_escape(shown, sizeof shown, span_str(text)));
    snprintf(ret_header, IF_MATCH_SIZE, "%s%s", text ? "If-Match: " : "", text ? text : "");
    return ERR_OK;
}

struct err opt_format(const char *format, bool *ret_json)
{
    *ret_json = strcmp(format, "json") == 0;
    if (!*ret_json && strcmp(format, "table") != 0)
        FAIL(ERR_USAGE, "--format is table or json, not \"%s\"", format);
    return ERR_OK;
}
