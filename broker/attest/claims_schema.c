#include "broker/attest/claims_schema.h"

/* The eight of ear.c, always all of them. */
#define VECTOR                                                                                  \
    "{\"instance-identity\": \"number\", \"configuration\": \"number\", \"executables\": \"number\","  \
    " \"file-system\": \"number\", \"hardware\": \"number\", \"runtime-opaque\": \"number\","          \
    " \"storage-opaque\": \"number\", \"sourced-data\": \"number\"}"

/* A JWK: which members there are depends on the kind of key. */
#define KEY "{\"kty\": \"string\", \"alg?\": \"string\", \"*\": \"string\"}"

/* One member for the TEE that the evidence is of, under its canonical name (tee.c). */
#define TEES                                                                                    \
    "\"sample?\": {\"svn\": \"string\", \"debug\": \"boolean\", \"launch_digest\": \"string\","      \
    " \"platform_version\": {\"major\": \"number\", \"minor\": \"number\"}},"                        \
    " \"sampledevice?\": {\"svn\": \"string\"},"                                                    \
    " \"az-snp-vtpm?\": \"any\", \"az-tdx-vtpm?\": \"any\", \"cca?\": \"any\", \"csv?\": \"any\","     \
    " \"hygondcu?\": \"any\", \"nvidia?\": \"any\", \"nvidia-dpu?\": \"any\", \"se?\": \"any\","       \
    " \"sgx?\": \"any\", \"snp?\": \"any\", \"tdx?\": \"any\", \"tpm?\": \"any\","

#define EVIDENCE                                                                                \
    "{" TEES " \"report_data\": \"string\", \"init_data?\": \"string\","                            \
    " \"init_data_claims?\": {\"*\": \"any\"},"                                                     \
    " \"runtime_data_claims\": {\"nonce\": \"string\", \"tee-pubkey\": " KEY ","                    \
    " \"additional-evidence?\": \"string\"}}"

#define SUBMOD                                                                                  \
    "{\"ear.status\": \"string none|affirming|warning|contraindicated\","                         \
    " \"ear.trustworthiness-vector\": " VECTOR ", \"ear.appraisal-policy-id\": \"string\","         \
    " \"ear.veraison.annotated-evidence\": " EVIDENCE ","                                           \
    " \"ear.trustee.identifiers?\": \"any\"}"

/* What tokens of other formats, and of early Trustee, have at the top. */
#define ELSEWHERE                                                                               \
    " \"~tee\": \"the TEE is the name of a member of "                                              \
    "input.submods.cpu0[\\\"ear.veraison.annotated-evidence\\\"], such as .snp\","                    \
    " \"~tcb-status\": \"what a verifier says is in "                                               \
    "input.submods.cpu0[\\\"ear.veraison.annotated-evidence\\\"], below the name of the TEE\","       \
    " \"~tee-pubkey\": \"the key is in input.submods.cpu0"                                          \
    "[\\\"ear.veraison.annotated-evidence\\\"].runtime_data_claims\","                                \
    " \"~customized_claims\": \"what a verifier says is in "                                        \
    "input.submods.cpu0[\\\"ear.veraison.annotated-evidence\\\"]\""

const char *claims_schema(void)
{
    return "{\"eat_profile\": \"string\", \"iat\": \"number\", \"exp\": \"number\", \"iss\": \"string\","
           " \"ear.verifier-id\": {\"developer\": \"string\", \"build\": \"string\"},"
           " \"submods\": {\"cpu#\": " SUBMOD ", \"gpu#\": " SUBMOD ", \"*#\": " SUBMOD "},"
           ELSEWHERE "}";
}

const char *claims_schema_evidence(void)
{
    return EVIDENCE;
}
