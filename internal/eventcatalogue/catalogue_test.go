package eventcatalogue_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"holdfast/internal/eventcatalogue"
	"holdfast/internal/events"
	"holdfast/internal/order"
	"holdfast/tests/eventcheck"
)

const folder = "../../docs/events"

// TestFilesAreCurrent: the published documents are those that the Go types give, and there are no others.
func TestFilesAreCurrent(t *testing.T) {
	t.Parallel()
	want, err := eventcatalogue.Files()
	require.NoError(t, err)
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(folder, name))
		require.NoError(t, err, "run make generate")
		require.Equal(t, string(content), string(got), "%s: run make generate", name)
	}
	for _, sub := range []string{"schemas", "examples"} {
		entries, err := os.ReadDir(filepath.Join(folder, sub))
		require.NoError(t, err)
		for _, e := range entries {
			require.Contains(t, want, sub+"/"+e.Name(), "run make generate")
		}
	}
}

// TestExamplesMatchTheirSchemas reads the published files only, as a consumer does.
func TestExamplesMatchTheirSchemas(t *testing.T) {
	t.Parallel()
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	schemas, err := filepath.Glob(folder + "/schemas/*.json")
	require.NoError(t, err)
	require.Len(t, schemas, len(eventcatalogue.All()))
	for _, file := range schemas {
		schema, err := c.Compile(file)
		require.NoError(t, err)
		raw, err := os.ReadFile(filepath.Join(folder, "examples", filepath.Base(file)))
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value), file)
		require.NoError(t, eventcheck.Message(raw, ""), file)

		value.(map[string]any)["data"].(map[string]any)["addedLater"] = true
		require.NoError(t, schema.Validate(value), "a consumer accepts a member of a later release")
		added, err := json.Marshal(value)
		require.NoError(t, err)
		require.Error(t, eventcheck.Message(added, ""), "our own tests do not")
	}
}

// TestCheckRefuses: the check of the tests finds what an event must not have.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(folder + "/examples/order.reserved.v1.json")
	require.NoError(t, err)
	for _, change := range []struct{ name, from, to string }{
		{"another version", `"version": 1`, `"version": 2`},
		{"a time that is not UTC", `"2026-03-01T12:15:00Z"`, `"2026-03-01T13:15:00+01:00"`},
		{"a time that is none", `"2026-03-01T12:15:00Z"`, `"tomorrowZ"`},
		{"an unknown type", `"order.reserved"`, `"order.lost"`},
		{"another publisher", `"service": "orders"`, `"service": "inventory"`},
		{"an id that is none", `"sku": "MUG-RED"`, `"sku": 7`},
		{"personal data", `"state": "reserved"`, `"state": "reserved", "email": "ada@example.com"`},
		{"no lines", `"lines"`, `"noLines"`},
	} {
		changed := strings.Replace(string(raw), change.from, change.to, 1)
		require.NotEqual(t, string(raw), changed, change.name)
		require.Error(t, eventcheck.Message([]byte(changed), "order"), change.name)
	}
	require.Error(t, eventcheck.Message(raw, "item"), "another aggregate")
}

// TestPublishedEventsAreInTheCatalogue: the catalogue has every event of an order that is published, and every constant
// of inventory's contract.
func TestPublishedEventsAreInTheCatalogue(t *testing.T) {
	t.Parallel()
	var want []string
	for _, e := range order.Events() {
		if name := e.PublishedAs(); name != "" {
			want = append(want, events.OrderPrefix+name)
		}
	}
	raw, err := os.ReadFile("../../inventory/inventoryapi/event.go")
	require.NoError(t, err)
	for _, m := range regexp.MustCompile(`= "(inventory\.\w+)"`).FindAllStringSubmatch(string(raw), -1) {
		want = append(want, m[1])
	}

	var got []string
	for _, e := range eventcatalogue.All() {
		got = append(got, e.Name)
		require.True(t, strings.HasSuffix(e.Summary, "."), "%s: a sentence", e.Name)
	}
	require.ElementsMatch(t, want, got)
}

// personal matches the names of members that could hold personal data or a person's words.
var personal = regexp.MustCompile(
	`(?i)email|address|ship_?to|recipient|customer|actor|subject|issuer|comment|note|message|phone`)

// TestNoPersonalData: no member of an event is made for personal data.
func TestNoPersonalData(t *testing.T) {
	t.Parallel()
	var look func(path string, typ reflect.Type)
	look = func(path string, typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice:
			look(path, typ.Elem())
		case reflect.Struct:
			if strings.HasPrefix(typ.PkgPath(), "holdfast/") {
				for _, f := range reflect.VisibleFields(typ) {
					require.NotRegexp(t, personal, f.Name, "%s", path)
					look(path+"."+f.Name, f.Type)
				}
			}
		case reflect.Map, reflect.Interface:
			require.Fail(t, "a member whose content is open", path)
		default:
		}
	}
	for _, e := range eventcatalogue.All() {
		look(e.Name, reflect.TypeOf(e.Example))
	}
}

// TestAsyncAPI: every reference of the AsyncAPI document leads somewhere, and each event is a message of its
// publisher's exchange.
func TestAsyncAPI(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile(folder + "/asyncapi.yaml")
	require.NoError(t, err)
	var doc map[string]any
	require.NoError(t, yaml.Unmarshal(raw, &doc))
	require.Equal(t, "3.0.0", doc["asyncapi"])

	references := 0
	var follow func(node any)
	follow = func(node any) {
		object, ok := node.(map[string]any)
		if list, isList := node.([]any); isList {
			for _, child := range list {
				follow(child)
			}
		}
		if !ok {
			return
		}
		if target, given := object["$ref"].(string); given {
			references++
			requireTarget(t, doc, target)
		}
		for _, child := range object {
			follow(child)
		}
	}
	follow(doc)
	require.Equal(t, 4+len(eventcatalogue.All())*3, references)

	for _, e := range eventcatalogue.All() {
		channel := doc["channels"].(map[string]any)[e.Service+"Events"].(map[string]any)
		require.Equal(t, e.Exchange(), channel["address"])
		require.Contains(t, channel["messages"], e.Name)
	}
}

func requireTarget(t *testing.T, doc map[string]any, target string) {
	t.Helper()
	path, inside := strings.CutPrefix(target, "#/")
	if !inside {
		require.FileExists(t, filepath.Join(folder, target))
		return
	}
	var at any = doc
	for _, part := range strings.Split(path, "/") {
		at = at.(map[string]any)[part]
		require.NotNil(t, at, target)
	}
}
