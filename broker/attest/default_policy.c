#include "broker/attest/default_policy.h"

#include <stddef.h>
#include <string.h>

/* What the numbers mean stands in AR4SI (draft-ietf-rats-ar4si): 2 to 31 affirm, 32 to 95 warn, from 96 on
 * they contraindicate. Whatever no rule below vouches for keeps its default, so a guest of which
 * nothing is known is contraindicated. */
static const char cpu[] =
    "package policy\n"
    "\n"
    "import rego.v1\n"
    "\n"
    "trust_claims := {\n"
    "\t\"configuration\": configuration,\n"
    "\t\"executables\": executables,\n"
    "\t\"hardware\": hardware,\n"
    "}\n"
    "\n"
    "default configuration := 36 # what matters of it cannot be seen\n"
    "\n"
    "default executables := 33 # something runs that is not known\n"
    "\n"
    "default hardware := 97 # not known to be genuine\n"
    "\n"
    "configuration := 2 if input.sample.debug == false\n"
    "\n"
    "executables := 3 if input.sample.launch_digest in query_reference_value(\"launch_digest\")\n"
    "\n"
    "hardware := 2 if {\n"
    "\tinput.sample.svn in query_reference_value(\"svn\")\n"
    "\tplatform := input.sample.platform_version\n"
    "\tplatform.major == query_reference_value(\"major_version\")\n"
    "\tplatform.minor >= query_reference_value(\"minimum_minor_version\")\n"
    "}\n"
    "\n"
    "# What runs in the guest, by its init-data. They stand in the token, for whoever decides by them.\n"
    "extensions := [{\n"
    "\t\"name\": \"ear.trustee.identifiers\",\n"
    "\t\"key\": -18,\n"
    "\t\"value\": {\"validated\": {name: list |\n"
    "\t\tsome name, list in identifiers\n"
    "\t\tcount(list) > 0\n"
    "\t}},\n"
    "}]\n"
    "\n"
    "identifiers := {\n"
    "\t\"container_images\": [image |\n"
    "\t\tsome container in containers\n"
    "\t\timage := container.OCI.Annotations[\"io.kubernetes.cri.image-name\"]\n"
    "\t],\n"
    "\t\"container_uids\": [uid |\n"
    "\t\tsome container in containers\n"
    "\t\tuid := container.OCI.Process.User.UID\n"
    "\t],\n"
    "}\n"
    "\n"
    "default containers := []\n"
    "\n"
    "containers := input.init_data_claims.agent_policy_claims.containers\n";

/* No sample device gets beyond a warning. */
static const char gpu[] =
    "package policy\n"
    "\n"
    "import rego.v1\n"
    "\n"
    "trust_claims := {\"configuration\": 36, \"executables\": 33, \"hardware\": hardware}\n"
    "\n"
    "default hardware := 97 # not known to be genuine\n"
    "\n"
    "hardware := 2 if input.sampledevice.svn in query_reference_value(\"device_svn\")\n";

static const struct {
    const char *device, *text;
} policies[] = {{"cpu", cpu}, {"gpu", gpu}};

const char *default_policy(const char *device)
{
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++)
        if (strcmp(policies[i].device, device) == 0) return policies[i].text;
    return NULL;
}
