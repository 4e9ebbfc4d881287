#include "policy/lexer.h"

#include <string.h>

#include "policy/text.h"

static bool is_name_start(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static bool is_name(char c) { return is_name_start(c) || is_digit(c); }

void rego_lexer_init(struct rego_lexer *l, const char *text, size_t len)
{
    *l = (struct rego_lexer){.at = text, .end = text + len, .line = 1, .column = 1};
}

/* The byte `ahead` of here; NUL beyond the end, which begins no token either. */
static char peek(const struct rego_lexer *l, size_t ahead)
{
    return (size_t) (l->end - l->at) > ahead ? l->at[ahead] : '\0';
}

static void advance(struct rego_lexer *l)
{
    unsigned char c = (unsigned char) *l->at++;
    if (c == '\n') {
        l->line++;
        l->column = 1;
    } else if ((peek(l, 0) & 0xc0) != 0x80) { /* the character ends here */
        l->column++;
    }
}

static void skip_comment(struct rego_lexer *l)
{
    struct rego_token t = {.kind = REGO_SIGN, .text = l->at, .line = l->line, .column = l->column};

    while (l->at < l->end && *l->at != '\n') advance(l);
    t.len = (size_t) (l->at - t.text);
    if (l->comment) l->comment(l->context, &t);
}

static void skip_blank(struct rego_lexer *l)
{
    while (l->at < l->end) {
        char c = *l->at;
        if (c == '#') {
            skip_comment(l);
        } else if (c == ' ' || c == '\t' || c == '\r' || c == '\n') {
            advance(l);
        } else {
            return;
        }
    }
}

/* ---- one function a kind: moves over the token, returns NULL or the problem ------------------ */

static const char *take_name(struct rego_lexer *l)
{
    while (is_name(peek(l, 0))) advance(l);
    return NULL;
}

static bool take_digits(struct rego_lexer *l)
{
    if (!is_digit(peek(l, 0))) return false;
    while (is_digit(peek(l, 0))) advance(l);
    return true;
}

static const char *take_number(struct rego_lexer *l)
{
    static const char problem[] = "a number is not written as in JSON";
    if (peek(l, 0) == '0' && is_digit(peek(l, 1))) return problem;
    take_digits(l);
    if (peek(l, 0) == '.') {
        advance(l);
        if (!take_digits(l)) return problem;
    }
    if (peek(l, 0) == 'e' || peek(l, 0) == 'E') {
        advance(l);
        if (peek(l, 0) == '+' || peek(l, 0) == '-') advance(l);
        if (!take_digits(l)) return problem;
    }
    return is_name(peek(l, 0)) ? problem : NULL;
}

/* After the backslash. */
static const char *take_escape(struct rego_lexer *l)
{
    char c = peek(l, 0);
    if (c == '\0' || !strchr("\"\\/bfnrtu", c)) return "a string has an unknown escape";
    advance(l);
    for (int i = 0; c == 'u' && i < 4; i++) {
        if (hex_digit(peek(l, 0)) < 0) return "a string has \\u without four hex digits";
        advance(l);
    }
    return NULL;
}

static const char *take_string(struct rego_lexer *l)
{
    advance(l);
    while (l->at < l->end && *l->at != '"') {
        unsigned char c = (unsigned char) *l->at;
        if (c < 0x20) return "a string does not end on its line, or holds a control character";
        advance(l);
        const char *problem = c == '\\' ? take_escape(l) : NULL;
        if (problem) return problem;
    }
    if (l->at == l->end) return "a string does not end";
    advance(l);
    return NULL;
}

static const char *take_raw_string(struct rego_lexer *l)
{
    advance(l);
    while (l->at < l->end && *l->at != '`') advance(l);
    if (l->at == l->end) return "a raw string does not end";
    advance(l);
    return NULL;
}

/* ---- keywords and signs ---------------------------------------------------------------------- */

/* Spelling and OPA's name for messages; longer signs come before their beginnings. */
static const struct symbol_row { const char *spelling, *name; } symbol_rows[REGO_SYMBOLS] = {
    [REGO_PACKAGE] = {"package", "package"}, [REGO_IMPORT] = {"import", "import"},
    [REGO_AS] = {"as", "as"}, [REGO_DEFAULT] = {"default", "default"},
    [REGO_ELSE] = {"else", "else"}, [REGO_NOT] = {"not", "not"},
    [REGO_SOME] = {"some", "some"}, [REGO_EVERY] = {"every", "every"},
    [REGO_WITH] = {"with", "with"}, [REGO_IN] = {"in", "in"},
    [REGO_IF] = {"if", "if"}, [REGO_CONTAINS] = {"contains", "contains"},
    [REGO_NULL] = {"null", "null"}, [REGO_TRUE] = {"true", "true"},
    [REGO_FALSE] = {"false", "false"},
    [REGO_ASSIGN] = {":=", "assign"}, [REGO_UNIFY] = {"=", "eq"},
    [REGO_EQUAL] = {"==", "equal"}, [REGO_NEQ] = {"!=", "neq"},
    [REGO_LT] = {"<", "lt"}, [REGO_LTE] = {"<=", "lte"},
    [REGO_GT] = {">", "gt"}, [REGO_GTE] = {">=", "gte"},
    [REGO_PLUS] = {"+", "plus"}, [REGO_MINUS] = {"-", "minus"},
    [REGO_TIMES] = {"*", "mul"}, [REGO_SLASH] = {"/", "div"},
    [REGO_PERCENT] = {"%", "rem"}, [REGO_AMPERSAND] = {"&", "and"},
    [REGO_BAR] = {"|", "or"}, [REGO_DOT] = {".", "."},
    [REGO_COMMA] = {",", ","}, [REGO_COLON] = {":", ":"},
    [REGO_SEMICOLON] = {";", ";"}, [REGO_LPAREN] = {"(", "("},
    [REGO_RPAREN] = {")", ")"}, [REGO_LBRACKET] = {"[", "["},
    [REGO_RBRACKET] = {"]", "]"}, [REGO_LBRACE] = {"{", "{"},
    [REGO_RBRACE] = {"}", "}"},
};

bool rego_symbol_is_keyword(enum rego_symbol s)
{
    return s >= REGO_PACKAGE && s <= REGO_FALSE;
}

enum rego_symbol rego_keyword(const char *text, size_t len)
{
    for (enum rego_symbol s = REGO_PACKAGE; s <= REGO_FALSE; s++)
        if (strlen(symbol_rows[s].spelling) == len &&
            memcmp(symbol_rows[s].spelling, text, len) == 0)
            return s;
    return REGO_SYMBOL_NONE;
}

const char *rego_token_name(const struct rego_token *t)
{
    static const char *const kinds[] = {
        [REGO_END] = "eof",       [REGO_NAME] = "identifier", [REGO_STRING] = "string",
        [REGO_TEMPLATE] = "template-string", [REGO_NUMBER] = "number",
        [REGO_SIGN] = "sign",     [REGO_BAD] = "illegal",
    };
    return t->symbol ? symbol_rows[t->symbol].name : kinds[t->kind];
}

static const char *take_sign(struct rego_lexer *l, enum rego_symbol *ret_symbol)
{
    enum rego_symbol found = REGO_SYMBOL_NONE;
    size_t found_len = 0;

    for (enum rego_symbol s = REGO_ASSIGN; s < REGO_SYMBOLS; s++) {
        const char *spelling = symbol_rows[s].spelling;
        size_t len = strlen(spelling);
        if (len <= found_len || peek(l, 0) != spelling[0]) continue;
        if (len == 2 && peek(l, 1) != spelling[1]) continue;
        found = s;
        found_len = len;
    }
    if (!found) return "a character that Rego does not use here";
    for (size_t i = 0; i < found_len; i++) advance(l);
    *ret_symbol = found;
    return NULL;
}

static enum rego_kind kind_of(const struct rego_lexer *l)
{
    char first = *l->at, second = peek(l, 1);

    if (is_name_start(first)) return REGO_NAME;
    if (is_digit(first)) return REGO_NUMBER;
    if (first == '$' && (second == '"' || second == '`')) return REGO_TEMPLATE;
    return first == '"' || first == '`' ? REGO_STRING : REGO_SIGN;
}

static const char *take(struct rego_lexer *l, struct rego_token *t)
{
    switch (t->kind) {
    case REGO_NAME: return take_name(l);
    case REGO_NUMBER: return take_number(l);
    case REGO_STRING: return *l->at == '`' ? take_raw_string(l) : take_string(l);
    case REGO_TEMPLATE:
        advance(l);
        advance(l);
        return NULL;
    default: return take_sign(l, &t->symbol);
    }
}

struct rego_token rego_lexer_next(struct rego_lexer *l)
{
    const char *before = l->at;
    unsigned line = l->line;
    bool first = l->line == 1 && l->column == 1;

    skip_blank(l);
    struct rego_token t = {.text = l->at, .line = l->line, .column = l->column};
    t.spaced = l->at != before;
    t.newline = first || l->line != line;
    if (l->at == l->end) return t;
    const struct rego_lexer start = *l;
    t.kind = kind_of(l);
    t.problem = take(l, &t);
    t.len = (size_t) (l->at - t.text);
    if (t.kind == REGO_NAME && peek(l, 0) != '.') t.symbol = rego_keyword(t.text, t.len);
    if (t.problem) {
        t.kind = REGO_BAD;
        t.symbol = REGO_SYMBOL_NONE;
        *l = start;
    }
    return t;
}

/* One character of a template's literal text, escapes as one. */
static const char *take_template_character(struct rego_lexer *l, char quote)
{
    unsigned char c = (unsigned char) *l->at;

    if (quote == '"' && c < 0x20)
        return "a template string does not end on its line, or holds a control character";
    advance(l);
    if (c != '\\') return NULL;
    if (peek(l, 0) == '{') {
        advance(l);
        return NULL;
    }
    return quote == '"' ? take_escape(l) : NULL;
}

struct rego_token rego_lexer_template(struct rego_lexer *l, char quote, bool *ret_more)
{
    struct rego_token t = {
        .kind = REGO_STRING, .text = l->at, .line = l->line, .column = l->column};

    *ret_more = false;
    while (l->at < l->end && *l->at != quote && *l->at != '{') {
        t.problem = take_template_character(l, quote);
        if (t.problem) break;
    }
    if (!t.problem && l->at == l->end) t.problem = "a template string does not end";
    t.len = (size_t) (l->at - t.text);
    if (t.problem) {
        t.kind = REGO_BAD;
        return t;
    }
    *ret_more = *l->at == '{';
    advance(l);
    return t;
}

bool rego_token_same(const struct rego_token *a, const struct rego_token *b)
{
    return a->kind == b->kind && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

bool rego_token_is(const struct rego_token *t, const char *spelling)
{
    return t->kind != REGO_BAD && t->kind != REGO_END && t->len == strlen(spelling) &&
           memcmp(t->text, spelling, t->len) == 0;
}

/* Length of the well-formed character at p, 0 when there is none. Unicode 15, table 3-7. */
static size_t utf8_character(const unsigned char *p, size_t left)
{
    static const struct { unsigned char first, last, low, high, len; } rows[] = {
        {0x00, 0x7f, 0, 0, 1},
        {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3}, /* no overlong form */
        {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, /* no surrogate */
        {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, /* no overlong form */
        {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4}, /* not above U+10FFFF */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i].first || p[0] > rows[i].last) continue;
        if (rows[i].len > left) return 0;
        if (rows[i].len > 1 && (p[1] < rows[i].low || p[1] > rows[i].high)) return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if ((p[k] & 0xc0) != 0x80) return 0;
        return rows[i].len;
    }
    return 0;
}

bool rego_utf8_valid(const char *text, size_t len, size_t *ret_valid)
{
    size_t done = 0;
    while (done < len) {
        size_t n = utf8_character((const unsigned char *) text + done, len - done);
        if (n == 0) {
            *ret_valid = done;
            return false;
        }
        done += n;
    }
    return true;
}
