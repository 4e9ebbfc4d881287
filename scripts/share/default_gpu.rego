package policy

import rego.v1

trust_claims := {"configuration": 36, "executables": 33, "hardware": hardware}

default hardware := 97 # not known to be genuine

hardware := 2 if input.sampledevice.svn in query_reference_value("device_svn")
