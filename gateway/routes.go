package gateway

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"holdfast/internal/auth"
	"holdfast/internal/httpx"
	"holdfast/inventory/inventoryapi"
)

// A service's OpenAPI document holds all that the gateway needs to know of an operation:
//
//   - x-gateway: the roles that may use it. The gateway does not forward an operation without x-gateway, so only our
//     own services can use it.
//   - x-gateway-without-product-ids: the roles that may use it without naming products in product_ids.
//   - x-timeout: how long the service may take (timeouts). If it is absent, the method decides.
//   - x-max-body: how many bytes its body may have, if it may be larger than others (httpx.Contract).
//   - a header parameter X-Actor: the gateway sends the token's subject to the service.

// timeouts are how long a service may take to answer, by an operation's x-timeout. The method of an operation without
// x-timeout makes it a read or a write.
var timeouts = map[string]time.Duration{
	"read":     5 * time.Second,
	"write":    10 * time.Second,
	"critical": 15 * time.Second, // moves money or waits for a workflow
	"import":   inventoryapi.ImportTimeout,
	streamed:   5 * time.Second, // until the answer begins; it has no end
}

// streamed is the x-timeout of an operation whose answer has no bound: a stream of events, or an export.
const streamed = "stream"

// route is one operation as the gateway offers it.
type route struct {
	method, path string // path as gin has it, as in /api/orders/:order_id
	roles        []auth.Role
	unnamedRoles []auth.Role // the roles that may use it without naming products; nil means roles
	timeout      time.Duration
	streamed     bool
	namesActor   bool
}

// routes reads the operations that the gateway offers of a service from the service's OpenAPI document.
func routes(spec []byte) ([]route, error) {
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	var out []route
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			r := route{method: method, path: httpx.Route(path)}
			if err := r.read(item, op); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
			if len(r.roles) > 0 {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func (r *route) read(item *openapi3.PathItem, op *openapi3.Operation) error {
	var err error
	if r.roles, err = auth.ReadRoles(op.Extensions["x-gateway"]); err != nil {
		return err
	}
	if r.unnamedRoles, err = auth.ReadRoles(op.Extensions["x-gateway-without-product-ids"]); err != nil {
		return err
	}

	kind := "write"
	if r.method == http.MethodGet {
		kind = "read"
	}
	if named, given := op.Extensions["x-timeout"]; given {
		kind = fmt.Sprint(named)
	}
	timeout, known := timeouts[kind]
	if !known {
		return fmt.Errorf("x-timeout is %q; it is one of read, write, critical, import and stream", kind)
	}
	r.timeout, r.streamed = timeout, kind == streamed

	for _, p := range slices.Concat(item.Parameters, op.Parameters) {
		r.namesActor = r.namesActor || p.Value.In == openapi3.ParameterInHeader && p.Value.Name == actorHeader
	}
	return nil
}
