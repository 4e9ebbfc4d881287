#include "broker/api/endpoint.h"

#define KBS "/kbs/v0/"
#define OWN "/strongroom/v1/"

/* Every endpoint, by prefix, first segments and method. Whatever is not here is 404 or 405. */
const struct endpoint endpoints[] = {
    /* the handshake (kbs-api.md 2.2, 2.4) */
    {KBS, "auth", HTTP_POST, ACCESS_OPEN, BODY_JSON, handshake_auth_decide, handshake_auth_work,
     handshake_auth_finish},
    {KBS, "attest", HTTP_POST, ACCESS_OPEN, BODY_VALUE, handshake_attest_decide,
     handshake_attest_work, handshake_attest_finish},

    /* resources (2.6, 6.3, 8); both paths are one store (DESIGN 5) */
    {KBS, "resource", HTTP_GET, ACCESS_GUEST, BODY_IGNORED, resource_get_decide, resource_get_work,
     resource_get_finish},
    {KBS, "resource", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_VALUE, resource_put_decide,
     resource_put_work, resource_put_finish},
    {KBS, "resource", HTTP_DELETE, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_delete_decide,
     resource_delete_work, resource_delete_finish},
    {KBS, "resource", HTTP_PUT, ACCESS_GUEST, BODY_IGNORED, resource_method_decide, NULL, NULL},
    {KBS, "pkcs11", HTTP_GET, ACCESS_GUEST, BODY_IGNORED, resource_get_decide, resource_get_work,
     resource_get_finish},
    {KBS, "pkcs11", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_VALUE, resource_put_decide,
     resource_put_work, resource_put_finish},
    {KBS, "pkcs11", HTTP_DELETE, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_delete_decide,
     resource_delete_work, resource_delete_finish},
    {KBS, "pkcs11", HTTP_PUT, ACCESS_GUEST, BODY_IGNORED, resource_method_decide, NULL, NULL},

    /* wrapping to a key of the token, and back (8.3) */
    {KBS, "pkcs11/wrap-key", HTTP_GET, ACCESS_GUEST, WRAP_BODY_MAX, wrap_key_get_decide,
     wrap_key_get_work, wrap_key_get_finish},
    {KBS, "pkcs11/wrap-key", HTTP_POST, ACCESS_ADMIN_PLUGIN, WRAP_BODY_MAX, wrap_key_post_decide,
     wrap_key_post_work, wrap_key_post_finish},
    {KBS, "pkcs11/wrap-key", HTTP_PUT, ACCESS_GUEST, BODY_IGNORED, wrap_key_guest_method, NULL,
     NULL},
    {KBS, "pkcs11/wrap-key", HTTP_DELETE, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, wrap_key_admin_method,
     NULL, NULL},

    /* the release policy (6.3, 7) */
    {KBS, "resource-policy", HTTP_POST, ACCESS_ADMIN_BUILTIN, BODY_JSON, policy_set_decide,
     policy_set_work, policy_set_finish},
    {KBS, "resource-policy", HTTP_GET, ACCESS_ADMIN_BUILTIN, BODY_IGNORED, policy_list_decide, NULL,
     NULL},

    /* appraisal (4.2, 6.3) */
    {KBS, "attestation-policy", HTTP_POST, ACCESS_ADMIN_BUILTIN, BODY_JSON,
     attestation_policy_decide, attestation_policy_work, attestation_policy_finish},
    {KBS, "reference-value", HTTP_POST, ACCESS_ADMIN_BUILTIN, BODY_MESSAGE, reference_set_decide,
     reference_set_work, reference_set_finish},
    {KBS, "reference-value", HTTP_GET, ACCESS_ADMIN_BUILTIN, BODY_IGNORED, reference_get_decide,
     reference_get_work, reference_get_finish},

    /* Strongroom's own */
    {OWN, "resources", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_list, NULL, NULL},
    {OWN, "resource", HTTP_GET, ACCESS_LOCAL, BODY_IGNORED, operator_read_decide,
     resource_get_work, operator_read_finish},
    {OWN, "resource-versions", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_versions_decide,
     resource_versions_work, resource_versions_finish},
    {OWN, "resource-restore", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON, resource_restore_decide,
     resource_restore_work, resource_restore_finish},
    {OWN, "resource-purge", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_purge_decide,
     resource_purge_work, resource_purge_finish},
    {OWN, "status", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     operator_status_work, operator_json_finish},
    {OWN, "keks", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     kek_list_work, kek_finish},
    {OWN, "keks", HTTP_POST, ACCESS_LOCAL, BODY_IGNORED, operator_job_decide,
     kek_create_work, kek_finish},
    {OWN, "keks", HTTP_DELETE, ACCESS_LOCAL, BODY_IGNORED, kek_number_decide, kek_remove_work,
     kek_finish},
    {OWN, "keks/rewrap", HTTP_POST, ACCESS_LOCAL, BODY_IGNORED, kek_number_decide, kek_rewrap_work,
     kek_finish},
    {OWN, "verify", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     verify_read_work, verify_finish},
    {OWN, "verify", HTTP_POST, ACCESS_LOCAL, BODY_IGNORED, operator_job_decide, verify_start_work,
     verify_finish},
    {OWN, "keypairs", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     keypair_list_work, keypair_list_finish},
    {OWN, "keypairs", HTTP_POST, ACCESS_LOCAL, BODY_KEYPAIR, operator_job_decide,
     keypair_create_work, keypair_create_finish},
    {OWN, "attestation-policy", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED,
     attestation_policy_read_decide, attestation_policy_read_work, attestation_policy_read_finish},
    {OWN, "reference-values", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, reference_list_decide,
     reference_list_work, reference_get_finish},

    /* the release policy's text and history; guests see none of it (policy_history.c) */
    {OWN, "policy", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, policy_read_decide,
     policy_read_work, policy_read_finish},
    {OWN, "policy/versions", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, policy_versions_decide,
     policy_versions_work, policy_versions_finish},
    {OWN, "policy/rollback", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON, policy_rollback_decide,
     policy_rollback_work, policy_rollback_finish},
    {OWN, "policy/dry-run", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON, dry_run_decide, dry_run_work,
     dry_run_finish},

    /* the document of all these; it holds no secret, and is open as health is */
    {OWN, "openapi.json", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, openapi_read, NULL, NULL},

    /* health */
    {"/", "healthz", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, health_live, NULL, NULL},
    {"/", "readyz", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, health_ready_decide, health_ready_work,
     health_ready_finish},
    {"/", "metrics", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, health_metrics, NULL, NULL},
};

const size_t endpoint_count = sizeof endpoints / sizeof *endpoints;
