#include "broker/api/endpoint.h"

#define KBS "/kbs/v0/"
#define OWN "/strongroom/v1/"

/* Every endpoint, by prefix, first segments and method. Whatever is not here is 404 or 405. */
const struct endpoint endpoints[] = {
    /* the handshake (kbs-api.md 2.2, 2.4) */
    {KBS, "auth", HTTP_POST, ACCESS_OPEN, BODY_JSON, handshake_auth_decide, handshake_auth_work,
     handshake_auth_finish, WORK_OBJECTS},
    {KBS, "attest", HTTP_POST, ACCESS_OPEN, BODY_VALUE, handshake_attest_decide,
     handshake_attest_work, handshake_attest_finish, WORK_CRYPTO_QUEUED},

    /* resources (2.6, 6.3, 8); both paths are one store (DESIGN 5) */
    {KBS, "resource", HTTP_GET, ACCESS_GUEST, BODY_IGNORED, resource_get_decide, resource_get_work,
     resource_get_finish, WORK_CRYPTO},
    {KBS, "resource", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_VALUE, resource_put_decide,
     resource_put_work, resource_put_finish, WORK_OBJECTS},
    {KBS, "resource", HTTP_DELETE, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_delete_decide,
     resource_delete_work, resource_delete_finish, WORK_OBJECTS},
    {KBS, "resource", HTTP_PUT, ACCESS_GUEST, BODY_IGNORED, resource_method_decide, NULL, NULL,
     WORK_NONE},
    {KBS, "pkcs11", HTTP_GET, ACCESS_GUEST, BODY_IGNORED, resource_get_decide, resource_get_work,
     resource_get_finish, WORK_CRYPTO},
    {KBS, "pkcs11", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_VALUE, resource_put_decide,
     resource_put_work, resource_put_finish, WORK_OBJECTS},
    {KBS, "pkcs11", HTTP_DELETE, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_delete_decide,
     resource_delete_work, resource_delete_finish, WORK_OBJECTS},
    {KBS, "pkcs11", HTTP_PUT, ACCESS_GUEST, BODY_IGNORED, resource_method_decide, NULL, NULL, WORK_NONE},

    /* wrapping to a key of the token, and back (8.3) */
    {KBS, "pkcs11/wrap-key", HTTP_GET, ACCESS_GUEST, WRAP_BODY_MAX, wrap_key_get_decide,
     wrap_key_get_work, wrap_key_get_finish, WORK_CRYPTO},
    {KBS, "pkcs11/wrap-key", HTTP_POST, ACCESS_ADMIN_PLUGIN, WRAP_BODY_MAX, wrap_key_post_decide,
     wrap_key_post_work, wrap_key_post_finish, WORK_CRYPTO},
    {KBS, "pkcs11/wrap-key", HTTP_PUT, ACCESS_GUEST, BODY_IGNORED, wrap_key_guest_method, NULL,
     NULL, WORK_NONE},
    {KBS, "pkcs11/wrap-key", HTTP_DELETE, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, wrap_key_admin_method,
     NULL, NULL, WORK_NONE},

    /* the release policy (6.3, 7) */
    {KBS, "resource-policy", HTTP_POST, ACCESS_ADMIN_BUILTIN, BODY_JSON, policy_set_decide,
     policy_set_work, policy_set_finish, WORK_OBJECTS},
    {KBS, "resource-policy", HTTP_GET, ACCESS_ADMIN_BUILTIN, BODY_IGNORED, policy_list_decide, NULL,
     NULL, WORK_NONE},

    /* appraisal (4.2, 6.3) */
    {KBS, "attestation-policy", HTTP_POST, ACCESS_ADMIN_BUILTIN, BODY_JSON,
     attestation_policy_decide, attestation_policy_work, attestation_policy_finish, WORK_OBJECTS},
    {KBS, "reference-value", HTTP_POST, ACCESS_ADMIN_BUILTIN, BODY_MESSAGE, reference_set_decide,
     reference_set_work, reference_set_finish, WORK_OBJECTS},
    {KBS, "reference-value", HTTP_GET, ACCESS_ADMIN_BUILTIN, BODY_IGNORED, reference_get_decide,
     reference_get_work, reference_get_finish, WORK_OBJECTS},

    /* Strongroom's own */
    {OWN, "resources", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_list_decide,
     operator_list_work, operator_list_finish, WORK_OBJECTS},
    {OWN, "resources", HTTP_POST, ACCESS_LOCAL, BODY_BATCH, operator_job_decide,
     resource_batch_work, resource_batch_finish, WORK_OBJECTS},
    {OWN, "resource", HTTP_GET, ACCESS_LOCAL, BODY_IGNORED, operator_read_decide,
     resource_get_work, operator_read_finish, WORK_CRYPTO},
    {OWN, "resource-versions", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_versions_decide,
     resource_versions_work, resource_versions_finish, WORK_OBJECTS},
    {OWN, "resource-restore", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON, resource_restore_decide,
     resource_restore_work, resource_restore_finish, WORK_OBJECTS},
    {OWN, "resource-purge", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, resource_purge_decide,
     resource_purge_work, resource_purge_finish, WORK_OBJECTS},
    {OWN, "status", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_status, NULL, NULL,
     WORK_NONE},
    {OWN, "keks", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     kek_list_work, kek_finish, WORK_OBJECTS},
    {OWN, "keks", HTTP_POST, ACCESS_LOCAL, BODY_IGNORED, operator_job_decide,
     kek_create_work, kek_finish, WORK_OBJECTS},
    {OWN, "keks", HTTP_DELETE, ACCESS_LOCAL, BODY_IGNORED, kek_number_decide, kek_remove_work,
     kek_finish, WORK_OBJECTS},
    {OWN, "keks/rewrap", HTTP_POST, ACCESS_LOCAL, BODY_IGNORED, kek_number_decide, kek_rewrap_work,
     kek_finish, WORK_OBJECTS},
    {OWN, "verify", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     verify_read_work, verify_finish, WORK_OBJECTS},
    {OWN, "verify", HTTP_POST, ACCESS_LOCAL, BODY_IGNORED, operator_job_decide, verify_start_work,
     verify_finish, WORK_OBJECTS},
    {OWN, "keypairs", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, operator_job_decide,
     keypair_list_work, keypair_list_finish, WORK_OBJECTS},
    {OWN, "keypairs", HTTP_POST, ACCESS_LOCAL, BODY_KEYPAIR, operator_job_decide,
     keypair_create_work, keypair_create_finish, WORK_OBJECTS},
    {OWN, "attestation-policy", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED,
     attestation_policy_read_decide, attestation_policy_read_work, attestation_policy_read_finish,
     WORK_OBJECTS},
    {OWN, "attestation-policy-versions", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED,
     attestation_versions_decide, policy_versions_work, policy_versions_finish, WORK_OBJECTS},
    {OWN, "attestation-policy-rollback", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON,
     attestation_rollback_decide, attestation_rollback_work, attestation_rollback_finish, WORK_OBJECTS},
    {OWN, "reference-values", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, reference_list_decide,
     reference_list_work, reference_get_finish, WORK_OBJECTS},

    /* the release policy's text and history; guests see none of it (policy_history.c) */
    {OWN, "policy", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, policy_read_decide,
     policy_read_work, policy_read_finish, WORK_OBJECTS},
    {OWN, "policy/versions", HTTP_GET, ACCESS_ADMIN_PLUGIN, BODY_IGNORED, policy_versions_decide,
     policy_versions_work, policy_versions_finish, WORK_OBJECTS},
    {OWN, "policy/rollback", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON, policy_rollback_decide,
     policy_rollback_work, policy_rollback_finish, WORK_OBJECTS},
    {OWN, "policy/dry-run", HTTP_POST, ACCESS_ADMIN_PLUGIN, BODY_JSON, dry_run_decide, dry_run_work,
     dry_run_finish, WORK_OBJECTS},

    /* the document of all these; it holds no secret, and is open as health is */
    {OWN, "openapi.json", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, openapi_read, NULL, NULL, WORK_NONE},

    /* health */
    {"/", "healthz", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, health_live, NULL, NULL, WORK_NONE},
    {"/", "readyz", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, health_ready_decide, health_ready_work,
     health_ready_finish, WORK_CRYPTO},
    {"/", "metrics", HTTP_GET, ACCESS_OPEN, BODY_IGNORED, health_metrics, NULL, NULL, WORK_NONE},
};

const size_t endpoint_count = sizeof endpoints / sizeof *endpoints;
