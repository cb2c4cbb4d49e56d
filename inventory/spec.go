package inventory

import _ "embed"

// OpenAPI is the contract as it is served to people and compared with the routes.
//
//go:embed openapi.yaml
var OpenAPI []byte
