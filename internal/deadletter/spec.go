package deadletter

import _ "embed"

//go:generate sh -c "cd ../.. && bin/tools/oapi-codegen -config internal/deadletter/deadletterapi/oapi-codegen.yaml internal/deadletter/openapi.yaml"
//go:generate sh -c "cd ../.. && bin/tools/oapi-codegen -config internal/deadletter/server/oapi-codegen.yaml internal/deadletter/openapi.yaml"

// OpenAPI is the contract of the administration of dead messages.
//
//go:embed openapi.yaml
var OpenAPI []byte
