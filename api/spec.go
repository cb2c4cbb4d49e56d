// Package api holds the contract of the orders interface. The specification is the source: types, client and routes are
// generated from it, the server checks requests against it, and a test compares the routes with it.
package api

import _ "embed"

//go:generate sh -c "cd .. && bin/tools/oapi-codegen -config api/orderapi/oapi-codegen.yaml api/openapi.yaml"
//go:generate sh -c "cd .. && bin/tools/oapi-codegen -config api/server/oapi-codegen.yaml api/openapi.yaml"

// Spec is the OpenAPI document, as served at /docs/openapi.yaml.
//
//go:embed openapi.yaml
var Spec []byte
