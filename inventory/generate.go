package inventory

// The contract is openapi.yaml. Types, client and routes are generated from it. The commands run in the root of the
// repository; `make generate` does the same.
//go:generate sh -c "cd .. && bin/tools/oapi-codegen -config inventory/inventoryapi/oapi-codegen.yaml inventory/openapi.yaml"
//go:generate sh -c "cd .. && bin/tools/oapi-codegen -config inventory/inventoryclient/oapi-codegen.yaml inventory/openapi.yaml"
//go:generate sh -c "cd .. && bin/tools/oapi-codegen -config inventory/server/oapi-codegen.yaml inventory/openapi.yaml"
