#include "policy/policy.h"

#include "policy/lexer.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum verdict { ALWAYS, NEVER, PLUGIN_RESOURCE };

/* What may follow `package policy` and an optional `import rego.v1`. The bodies are Rego, read by
 * the same lexer as the text they are compared with; `:=` stands for itself and for `=`. */
struct form {
    const char *name;
    const char *body;
    enum verdict verdict;
};

static const struct form forms[] = {
    {"allow-all", "default allow := true", ALWAYS},
    {"deny-all", "default allow := false", NEVER},
    /* Trustee's allow-all since 2026-03-09: any plugin but `resource` stays denied. */
    {"allow-resource",
     "default allow = false  plugin = data.plugin  allow if { plugin == \"resource\" }",
     PLUGIN_RESOURCE},
};
#define FORM_COUNT (sizeof forms / sizeof forms[0])

#define ACCEPTED                                                                 \
    "this version accepts `default allow = true`, `default allow = false` and "  \
    "the stock allow-all and deny-all of kbs-client"

struct policy {
    const struct form *form;
};

__attribute__((format(printf, 4, 5)))
static void refuse(struct policy_error *e, unsigned line, unsigned column, const char *fmt, ...)
{
    e->line = line;
    e->column = column;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, ap);
    va_end(ap);
}

/* Text of the token for a sentence: names, numbers and signs as they are, since they are short
 * ASCII; never the content of a string, which may be anything. */
static void refuse_token(struct policy_error *e, const struct rego_token *t, const char *accepted)
{
    if (t->kind == REGO_BAD)
        refuse(e, t->line, t->column, "%s; %s", t->problem, accepted);
    else if (t->kind == REGO_END)
        refuse(e, t->line, t->column, "the text ends too early; %s", accepted);
    else if (t->kind == REGO_STRING)
        refuse(e, t->line, t->column, "a string is not expected here; %s", accepted);
    else
        refuse(e, t->line, t->column, "`%.*s%s` is not expected here; %s",
               (int) (t->len < 24 ? t->len : 24), t->text, t->len > 24 ? "..." : "", accepted);
}

static bool token_fits(const struct rego_token *form, const struct rego_token *text)
{
    return rego_token_same(form, text) || (rego_token_is(form, ":=") && rego_token_is(text, "="));
}

/* Moves over these words; false, with the token that differs, when the text has others. */
static bool take_words(struct rego_lexer *l, const char *const *words, struct rego_token *ret_other)
{
    for (; *words; words++) {
        *ret_other = rego_lexer_next(l);
        if (!rego_token_is(ret_other, *words)) return false;
    }
    return true;
}

static bool take_head(struct rego_lexer *l, struct policy_error *e)
{
    static const char *const package[] = {"package", "policy", NULL};
    static const char *const import[] = {"import", "rego", ".", "v1", NULL};
    struct rego_token other;
    if (!take_words(l, package, &other)) {
        refuse_token(e, &other, "a release policy begins with `package policy`");
        return false;
    }
    struct rego_lexer ahead = *l;
    struct rego_token next = rego_lexer_next(&ahead);
    if (rego_token_is(&next, "import") && !take_words(l, import, &other)) {
        refuse_token(e, &other, "the only import is `import rego.v1`");
        return false;
    }
    return true;
}

/* Walks the text beside all forms at once; the first token with which the last of them falls out
 * is the one to point at. */
static const struct form *match_body(struct rego_lexer *l, struct policy_error *e)
{
    struct rego_lexer at[FORM_COUNT];
    bool out[FORM_COUNT] = {false};
    for (size_t i = 0; i < FORM_COUNT; i++)
        rego_lexer_init(&at[i], forms[i].body, strlen(forms[i].body));
    for (;;) {
        struct rego_token t = rego_lexer_next(l);
        bool any = false;
        for (size_t i = 0; i < FORM_COUNT; i++) {
            if (out[i]) continue;
            struct rego_token want = rego_lexer_next(&at[i]);
            out[i] = !token_fits(&want, &t);
            any = any || !out[i];
            if (!out[i] && t.kind == REGO_END) return &forms[i];
        }
        if (any) continue;
        refuse_token(e, &t, ACCEPTED);
        return NULL;
    }
}

/* Line and column of the byte, for text that is not UTF-8 only behind it. */
static void refuse_bytes(struct policy_error *e, const char *text, size_t valid)
{
    unsigned line = 1, column = 1;
    for (size_t i = 0; i < valid; i++) {
        if (text[i] == '\n') line++, column = 1;
        else if ((text[i] & 0xc0) != 0x80) column++;
    }
    refuse(e, line, column, "the text is not UTF-8; save the policy as UTF-8 and send it again");
}

struct policy *policy_compile(const char *text, size_t len, struct policy_error *error)
{
    size_t valid = 0;
    if (len == 0) {
        refuse(error, 0, 0, "the policy is empty; " ACCEPTED);
        return NULL;
    }
    if (!rego_utf8_valid(text, len, &valid)) {
        refuse_bytes(error, text, valid);
        return NULL;
    }
    struct rego_lexer l;
    rego_lexer_init(&l, text, len);
    if (!take_head(&l, error)) return NULL;
    const struct form *form = match_body(&l, error);
    if (!form) return NULL;
    struct policy *p = malloc(sizeof *p);
    if (!p) refuse(error, 0, 0, "out of memory");
    else p->form = form;
    return p;
}

void policy_free(struct policy *p)
{
    free(p);
}

void policy_evaluate(const struct policy *p, const struct policy_input *input,
                     struct policy_decision *ret)
{
    *ret = (struct policy_decision){.allow = false, .reason = "no policy"};
    if (!p) return;
    switch (p->form->verdict) {
    case ALWAYS:
        *ret = (struct policy_decision){true, "default allow is true"};
        return;
    case NEVER:
        ret->reason = "default allow is false";
        return;
    case PLUGIN_RESOURCE:
        ret->allow = input && input->plugin && strcmp(input->plugin, "resource") == 0;
        ret->reason = ret->allow ? "plugin is resource" : "plugin is not resource";
        return;
    }
}

const char *policy_name(const struct policy *p)
{
    return p->form->name;
}
