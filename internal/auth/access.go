package auth

import (
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"holdfast/internal/httpx"
)

// Extensions of an OpenAPI document.
const (
	extRoles    = "x-gateway"  // of an operation: the roles of the users who may use it
	extServices = "x-services" // of the document: our own services may use every operation
)

// access says who may use an operation of a service.
type access struct {
	roles    []Role
	services bool
}

// plural lists the roles in words, as in "operators and admins".
func (a access) plural() string {
	names := make([]string, len(a.roles))
	for i, r := range a.roles {
		names[i] = string(r) + "s"
	}
	if len(names) == 0 {
		return "only our own services"
	}
	return strings.Join(names, " and ")
}

// accessOf reads who may use the operations of an OpenAPI document, by method and route as in
// "GET /api/orders/:order_id". It refuses a document with an operation that declares no role: its author has forgotten
// to say who may.
func accessOf(spec []byte) (map[string]access, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	services, _ := doc.Extensions[extServices].(bool)

	out := map[string]access{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			roles, err := ReadRoles(op.Extensions[extRoles])
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			if len(roles) == 0 && !services {
				return nil, fmt.Errorf("%s %s declares no role: name those who may use it in %s", method, path, extRoles)
			}
			out[method+" "+httpx.Route(path)] = access{roles, services}
		}
	}
	return out, nil
}

// ReadRoles reads the value of an extension that lists roles; without a value there are none.
func ReadRoles(extension any) ([]Role, error) {
	if extension == nil {
		return nil, nil
	}
	list, ok := extension.([]any)
	if !ok {
		return nil, fmt.Errorf("the roles are a list, not %v", extension)
	}
	var out []Role
	for _, name := range list {
		role := Role(fmt.Sprint(name))
		if !slices.Contains(Roles(), role) {
			return nil, fmt.Errorf("there is no role %q", role)
		}
		out = append(out, role)
	}
	return out, nil
}
