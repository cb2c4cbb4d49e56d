package merchantwebhook

import _ "embed"

//go:generate ../../bin/tools/oapi-codegen -config webhookapi/oapi-codegen.yaml openapi.yaml
//go:generate ../../bin/tools/oapi-codegen -config server/oapi-codegen.yaml openapi.yaml

// OpenAPI is the contract of the administration of the merchants' webhooks.
//
//go:embed openapi.yaml
var OpenAPI []byte
