// Package apireference writes the page docs/api-reference.md from the OpenAPI documents.
package apireference

//go:generate go run ./referencepage ../../docs/api-reference.md

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"

	"holdfast/api"
	"holdfast/internal/deadletter"
	"holdfast/internal/merchantwebhook"
	"holdfast/internal/notification"
	"holdfast/inventory"
)

const head = `<!-- Written from the OpenAPI documents by 'make generate'; do not edit. -->
# API reference

Every request of the platform, from its OpenAPI documents, which have the schemas and examples too. The running gateway
shows them as a page to try, at /docs. [The quick reference](guides/quick-reference.md) has requests to paste, and what
each answers.

- **Token:** send it as "Authorization: Bearer …". *roles* lists who may send a request through the gateway; "our
  services" are requests that the gateway does not pass on.
- **Errors** are application/problem+json with code, retryable and correlation_id. Every request can also answer 400,
  401, 403, 404, 409, 422, 429 and 503, even if its table does not list them; the code says why.
- **Lists** answer {items, next_cursor}. **Money** is {amount_minor, currency}. **Times** are RFC 3339 in UTC.
`

// refused describes a status that needs no line: its code says all.
const refused = "Refused; see `code`."

// documents are the contracts in the order of the page.
var documents = []struct {
	title, file string
	spec        []byte
}{
	{"Orders, products, reservations", "../api/openapi.yaml", api.Spec},
	{"Inventory", "../inventory/openapi.yaml", inventory.OpenAPI},
	{"Dead messages", "../internal/deadletter/openapi.yaml", deadletter.OpenAPI},
	{"Webhooks of merchants", "../internal/merchantwebhook/openapi.yaml", merchantwebhook.OpenAPI},
	{"Notifications", "../internal/notification/openapi.yaml", notification.OpenAPI},
}

// Page returns the page.
func Page() (string, error) {
	var b strings.Builder
	b.WriteString(head)
	for _, d := range documents {
		spec, err := openapi3.NewLoader().LoadFromData(d.spec)
		if err != nil {
			return "", fmt.Errorf("read %s: %w", d.file, err)
		}
		fmt.Fprintf(&b, "\n## %s\n\n[The document](%s).\n", d.title, d.file)
		for _, path := range spec.Paths.InMatchingOrder() {
			writePath(&b, path, spec.Paths.Value(path))
		}
	}
	return b.String(), nil
}

func writePath(b *strings.Builder, path string, item *openapi3.PathItem) {
	operations := item.Operations()
	methods := []string{"GET", "POST", "PUT", "PATCH", "DELETE"}
	for _, method := range methods {
		op := operations[method]
		if op == nil {
			continue
		}
		fmt.Fprintf(b, "\n### `%s %s`\n\n%s\n", method, path, oneLine(op.Summary))
		if text := oneLine(op.Description); text != "" && text != oneLine(op.Summary) {
			fmt.Fprintf(b, "\n%s\n", text)
		}
		fmt.Fprintf(b, "\n| | |\n|---|---|\n| roles | %s |\n", roles(op))
		for _, p := range slices.Concat(item.Parameters, op.Parameters) {
			fmt.Fprintf(b, "| %s `%s` | %s |\n", p.Value.In, p.Value.Name, cell(parameter(p.Value)))
		}
		if op.RequestBody != nil {
			fmt.Fprintf(b, "| body | %s |\n", body(op.RequestBody.Value))
		}
		for _, status := range statuses(op) {
			text := ""
			if d := op.Responses.Value(status).Value.Description; d != nil {
				text = oneLine(*d)
			}
			if text != refused {
				fmt.Fprintf(b, "| %s | %s |\n", status, cell(text))
			}
		}
	}
}

// roles says who may send a request through the gateway.
func roles(op *openapi3.Operation) string {
	listed, _ := op.Extensions["x-gateway"].([]any)
	if len(listed) == 0 {
		return "our services"
	}
	names := make([]string, len(listed))
	for i, role := range listed {
		names[i] = fmt.Sprint(role)
	}
	return strings.Join(names, ", ")
}

func parameter(p *openapi3.Parameter) string {
	parts := []string{}
	if p.Required && p.In != openapi3.ParameterInPath {
		parts = append(parts, "Required.")
	}
	if text := oneLine(p.Description); text != "" {
		parts = append(parts, text)
	}
	if s := p.Schema; s != nil && s.Value != nil && len(s.Value.Enum) > 0 {
		values := make([]string, len(s.Value.Enum))
		for i, v := range s.Value.Enum {
			values[i] = fmt.Sprintf("`%v`", v)
		}
		parts = append(parts, "One of "+strings.Join(values, ", ")+".")
	}
	return strings.Join(parts, " ")
}

// body lists the members of a JSON body, the required ones in bold.
func body(r *openapi3.RequestBody) string {
	media := r.Content.Get("application/json")
	if media == nil {
		types := make([]string, 0, len(r.Content))
		for name := range r.Content {
			types = append(types, "`"+name+"`")
		}
		slices.Sort(types)
		return strings.Join(types, ", ")
	}
	schema := media.Schema.Value
	members := make([]string, 0, len(schema.Properties))
	for name := range schema.Properties {
		members = append(members, name)
	}
	slices.SortFunc(members, func(a, b string) int {
		first, second := slices.Contains(schema.Required, a), slices.Contains(schema.Required, b)
		if first != second {
			return map[bool]int{true: -1, false: 1}[first]
		}
		return cmp.Compare(a, b)
	})
	for i, name := range members {
		if slices.Contains(schema.Required, name) {
			members[i] = "**`" + name + "`**"
		} else {
			members[i] = "`" + name + "`"
		}
	}
	return strings.Join(members, ", ")
}

func statuses(op *openapi3.Operation) (out []string) {
	for status := range op.Responses.Map() {
		if status != "default" {
			out = append(out, status)
		}
	}
	slices.Sort(out)
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func cell(s string) string { return strings.ReplaceAll(s, "|", "\\|") }
