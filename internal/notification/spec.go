package notification

import _ "embed"

//go:generate ../../bin/tools/oapi-codegen -config notificationapi/oapi-codegen.yaml openapi.yaml
//go:generate ../../bin/tools/oapi-codegen -config server/oapi-codegen.yaml openapi.yaml

// OpenAPI is the contract of the administration of notifications.
//
//go:embed openapi.yaml
var OpenAPI []byte
