package deadletter

import _ "embed"

//go:generate ../../bin/tools/oapi-codegen -config deadletterapi/oapi-codegen.yaml openapi.yaml
//go:generate ../../bin/tools/oapi-codegen -config server/oapi-codegen.yaml openapi.yaml

// OpenAPI is the contract of the administration of dead messages.
//
//go:embed openapi.yaml
var OpenAPI []byte
