package inventory

import _ "embed"

// OpenAPI is the contract that the server publishes and compares with its routes.
//
//go:embed openapi.yaml
var OpenAPI []byte
