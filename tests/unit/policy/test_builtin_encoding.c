#include "tests/lib/builtin_cases.h"

static const struct builtin_case ENCODING[] = {
    { "base64.encode", "[\"hello\"]", "\"aGVsbG8=\"", NULL },
    { "base64.encode", "[\"\"]", "\"\"", NULL },
    { "base64.encode", "[\"subjects?_d=1~~\"]", "\"c3ViamVjdHM/X2Q9MX5+\"", NULL },
    { "base64.decode", "[\"aGVsbG8=\"]", "\"hello\"", NULL },
    { "base64.decode", "[\"aGVs\\nbG8=\\n\"]", "\"hello\"", NULL },
    { "base64.decode", "[\"aGVsbG8\"]", NULL, "base64.decode: illegal base64 data at input byte 4" },
    { "base64.decode", "[\"aGV!bG8=\"]", NULL, "illegal base64 data at input byte 3" },
    { "base64.decode", "[\"aGVsbG8=x\"]", NULL, "illegal base64 data" },
    { "base64.is_valid", "[\"aGVsbG8=\"]", "true", NULL },
    { "base64.is_valid", "[\"{\"]", "false", NULL },
    { "base64url.encode", "[\"subjects?_d=1~~\"]", "\"c3ViamVjdHM_X2Q9MX5-\"", NULL },
    { "base64url.encode", "[\"hello\"]", "\"aGVsbG8=\"", NULL },
    { "base64url.encode_no_pad", "[\"hello\"]", "\"aGVsbG8\"", NULL },
    { "base64url.decode", "[\"aGVsbG8\"]", "\"hello\"", NULL },
    { "base64url.decode", "[\"aGVsbG8=\"]", "\"hello\"", NULL },
    { "base64url.decode", "[\"a\"]", NULL, "illegal base64url string: a" },
    { "hex.encode", "[\"lorem\"]", "\"6c6f72656d\"", NULL },
    { "hex.decode", "[\"6C6f72656d\"]", "\"lorem\"", NULL },
    { "hex.decode", "[\"fghijkl\"]", NULL, "hex.decode: encoding/hex: invalid byte: U+0067 'g'" },
    { "hex.decode", "[\"abc\"]", NULL, "encoding/hex: odd length hex string" },
    { "json.marshal", "[{\"b\": [1, null], \"a\": \"<\"}]", "\"{\\\"a\\\":\\\"\\\\u003c\\\",\\\"b\\\":[1,null]}\"", NULL },
    { "json.marshal_with_options", "[[1], {\"indent\": \" \"}]", "\"[\\n 1\\n]\"", NULL },
    { "json.marshal_with_options", "[[1], {\"prefix\": \">\"}]", "\">[\\n>\\t1\\n>]\"", NULL },
    { "json.marshal_with_options", "[[1], {\"pretty\": false, \"indent\": \" \"}]", "\"[1]\"", NULL },
    { "json.marshal_with_options", "[[1], {}]", "\"[1]\"", NULL },
    { "json.marshal_with_options", "[[1], {\"x\": 1}]", NULL, "object contained unknown key \"x\"" },
    { "json.marshal_with_options", "[[1], {\"indent\": 1}]", NULL, "key \"indent\" failed cast to string" },
    { "json.unmarshal", "[\"{\\\"a\\\": [1, 2.50]}\"]", "{\"a\": [1, 2.5]}", NULL },
    { "json.unmarshal", "[\"{\\\"a\\\": 1, \\\"a\\\": 2}\"]", "{\"a\": 2}", NULL },
    { "json.unmarshal", "[\"{\"]", NULL, "json.unmarshal: " },
    { "json.is_valid", "[\"[]\"]", "true", NULL },
    { "json.is_valid", "[\"[\"]", "false", NULL },
    { "json.is_valid", "[1]", "false", NULL },
    { "urlquery.encode", "[\"a=b+1 \xc3\xa4~\"]", "\"a%3Db%2B1+%C3%A4~\"", NULL },
    { "urlquery.decode", "[\"a%3Db%2B1+x\"]", "\"a=b+1 x\"", NULL },
    { "urlquery.decode", "[\"%zz\"]", NULL, "urlquery.decode: invalid URL escape \"%zz\"" },
    { "urlquery.decode", "[\"a%2\"]", NULL, "invalid URL escape \"%2\"" },
    { "urlquery.encode_object", "[{\"b\": \"1 2\", \"a\": [\"x\", \"y\"]}]", "\"a=x&a=y&b=1+2\"", NULL },
    { "urlquery.encode_object", "[{\"a\": 1}]", NULL, "operand 1 values must be string, array[string], or set[string]" },
    { "urlquery.decode_object", "[\"a=z&b&a=1%202\"]", "{\"a\": [\"z\", \"1 2\"], \"b\": [\"\"]}", NULL },
    { "urlquery.decode_object", "[\"\"]", "{}", NULL },
    { "urlquery.decode_object", "[\"a=1;b\"]", NULL, "invalid semicolon separator in query" },
};

static void test_encoding__both_ways(void **state) { BENCH_TABLE(ENCODING); }

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_encoding__both_ways) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
