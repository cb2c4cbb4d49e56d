// Package httpxtest derives requests that must be refused from a contract, and compares the body that a reader has
// checked with the value that it returns.
package httpxtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
)

// Operation is an operation that takes a JSON body.
type Operation struct {
	Method, Path string
	Route        string // the path as the document has it
	Body         any    // valid, with every member that the schema has
}

var ids, others = regexp.MustCompile(`\{\w*id\}`), regexp.MustCompile(`\{\w+\}`)

// fill gives each parameter of a path a value: an id, a number or a code.
func fill(path string) string {
	path = strings.ReplaceAll(ids.ReplaceAllString(path, uuid.NewString()), "{number}", "1")
	return others.ReplaceAllString(path, "main")
}

// Operations returns the operations of an OpenAPI document that take a JSON body, in a fixed order.
func Operations(t testing.TB, spec []byte) []Operation {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(spec)
	require.NoError(t, err)
	paths := doc.Paths.Map()
	var out []Operation
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		operations := paths[path].Operations()
		for _, method := range slices.Sorted(maps.Keys(operations)) {
			body := operations[method].RequestBody
			if body == nil || body.Value.Content["application/json"] == nil {
				continue
			}
			out = append(out, Operation{
				Method: method,
				Route:  path,
				Path:   fill(path),
				Body:   valid(body.Value.Content["application/json"].Schema.Value),
			})
		}
	}
	require.NotEmpty(t, out)
	return out
}

// texts are values for the patterns of the contracts.
var texts = []string{"EUR", "DE", "SKU-1", "a@example.org", "main"}

func valid(s *openapi3.Schema) any {
	switch {
	case len(s.AllOf) == 1: // a reference with a description of its own
		return valid(s.AllOf[0].Value)
	case len(s.Enum) > 0:
		return s.Enum[0]
	case s.Type.Is(openapi3.TypeObject):
		out := map[string]any{}
		for name, property := range s.Properties {
			out[name] = valid(property.Value)
		}
		if s.AdditionalProperties.Schema != nil {
			out["anything"] = valid(s.AdditionalProperties.Schema.Value)
		}
		return out
	case s.Type.Is(openapi3.TypeArray):
		return []any{valid(s.Items.Value)}
	case s.Type.Is(openapi3.TypeInteger):
		return 1
	case s.Type.Is(openapi3.TypeBoolean):
		return true
	case s.Format == "uuid":
		return uuid.NewString()
	case s.Format == "date-time":
		return "2026-01-31T12:00:00Z"
	}
	for _, text := range texts {
		if s.Pattern != "" && regexp.MustCompile(s.Pattern).MatchString(text) {
			return text
		}
	}
	return "some text"
}

// Spoiled is a body with one fault that every reader must refuse.
type Spoiled struct {
	Name, Body string
	Field      string // the field that the answer must name
	Inside     bool   // the answer may name Field or a field inside it
}

// Spoil returns copies of a body with one fault each, for every fault at every member: the member given twice, also by
// an escape; in another case, if the schema knows its name; with a byte that is not UTF-8, a lone surrogate and U+0000
// in its name and in its text.
func Spoil(t testing.TB, body any) []Spoiled {
	t.Helper()
	var out []Spoiled
	walk(body, "", func(parent, name, path string, value any) {
		quoted := write(t, name)
		escaped := fmt.Sprintf(`"\u%04x%s`, name[0], quoted[2:])
		whole := write(t, value)
		at := func(what, members, field string, inside bool) {
			out = append(out, Spoiled{path + " " + what, replace(t, body, "", path, members), field, inside})
		}

		at("twice", quoted+":"+whole+","+quoted+":"+whole, path, false)
		at("twice by an escape", quoted+":"+whole+","+escaped+":"+whole, path, false)
		if name != "anything" {
			other := strings.ToUpper(name)
			field := strings.TrimSuffix(path, name) + other
			at("in another case", write(t, other)+":"+whole, field, false)
			at("also in another case", quoted+":"+whole+","+write(t, other)+":"+whole, field, false)
		}
		for what, bad := range map[string]string{"a bad byte": "\xff", "a lone surrogate": `\ud800`, "a NUL": `\u0000`} {
			at(what+" in its name", quoted[:len(quoted)-1]+bad+`":`+whole, parent, true)
			if _, ok := value.(string); ok {
				at(what, quoted+":"+whole[:len(whole)-1]+bad+`"`, path, false)
			}
		}
	})
	require.NotEmpty(t, out)
	return out
}

// walk visits every member of every object.
func walk(value any, at string, visit func(parent, name, path string, value any)) {
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			path := strings.TrimPrefix(at+"."+name, ".")
			visit(at, name, path, v[name])
			walk(v[name], path, visit)
		}
	case []any:
		for i, element := range v {
			walk(element, fmt.Sprintf("%s[%d]", at, i), visit)
		}
	}
}

// replace writes value as JSON, with members in place of the member at path.
func replace(t testing.TB, value any, at, path, members string) string {
	t.Helper()
	var parts []string
	switch v := value.(type) {
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			here := strings.TrimPrefix(at+"."+name, ".")
			if here == path {
				parts = append(parts, members)
				continue
			}
			parts = append(parts, write(t, name)+":"+replace(t, v[name], here, path, members))
		}
		return "{" + strings.Join(parts, ",") + "}"
	case []any:
		for i, element := range v {
			parts = append(parts, replace(t, element, fmt.Sprintf("%s[%d]", at, i), path, members))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	return write(t, value)
}

func write(t testing.TB, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	require.NoError(t, err)
	return string(raw)
}

// Write returns a body as JSON.
func Write(t testing.TB, body any) string {
	t.Helper()
	return write(t, body)
}

// Inject returns copies of a body, each with text in place of one of its texts or as the name of a member of a free
// object.
func Inject(t testing.TB, body any, text string) []string {
	t.Helper()
	var out []string
	walk(body, "", func(_, name, path string, value any) {
		if _, ok := value.(string); ok {
			out = append(out, replace(t, body, "", path, write(t, name)+":"+write(t, text)))
		}
		if name == "anything" {
			out = append(out, replace(t, body, "", path, write(t, text)+":"+write(t, value)))
		}
	})
	return out
}
