package policy

import rego.v1

trust_claims := {
	"configuration": configuration,
	"executables": executables,
	"hardware": hardware,
}

default configuration := 36 # what matters of it cannot be seen

default executables := 33 # something runs that is not known

default hardware := 97 # not known to be genuine

configuration := 2 if input.sample.debug == false

executables := 3 if input.sample.launch_digest in query_reference_value("launch_digest")

hardware := 2 if {
	input.sample.svn in query_reference_value("svn")
	platform := input.sample.platform_version
	platform.major == query_reference_value("major_version")
	platform.minor >= query_reference_value("minimum_minor_version")
}

# What runs in the guest, by its init-data. They stand in the token, for whoever decides by them.
extensions := [{
	"name": "ear.trustee.identifiers",
	"key": -18,
	"value": {"validated": {name: list |
		some name, list in identifiers
		count(list) > 0
	}},
}]

identifiers := {
	"container_images": [image |
		some container in containers
		image := container.OCI.Annotations["io.kubernetes.cri.image-name"]
	],
	"container_uids": [uid |
		some container in containers
		uid := container.OCI.Process.User.UID
	],
}

default containers := []

containers := input.init_data_claims.agent_policy_claims.containers
