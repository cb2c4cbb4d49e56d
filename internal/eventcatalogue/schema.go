package eventcatalogue

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/google/jsonschema-go/jsonschema"
	"github.com/google/uuid"

	"holdfast/internal/events"
	"holdfast/internal/money"
	"holdfast/inventory/inventoryapi"
)

const draft = "https://json-schema.org/draft/2020-12/schema"

// Schema returns the JSON schema of a whole message of the type. It allows members that it does not know, because a
// later release may add some. A strict schema refuses them: for tests of the publisher.
func (t Type) Schema(strict bool) (*jsonschema.Schema, error) {
	data, err := jsonschema.ForType(reflect.TypeOf(t.Example), &jsonschema.ForOptions{TypeSchemas: fieldSchemas()})
	if err != nil {
		return nil, fmt.Errorf("schema of the data of %s: %w", t.Name, err)
	}
	withData := fieldSchemas()
	withData[reflect.TypeFor[json.RawMessage]()] = data
	s, err := jsonschema.ForType(reflect.TypeFor[events.Envelope](), &jsonschema.ForOptions{TypeSchemas: withData})
	if err != nil {
		return nil, fmt.Errorf("schema of %s: %w", t.Name, err)
	}

	s.Schema = draft
	s.ID = "urn:holdfast:event:" + t.file()
	s.Title = t.Name
	s.Description = t.Summary
	s.Properties["eventType"].Const = constant(t.Name)
	s.Properties["version"].Const = constant(events.SchemaVersion)
	s.Properties["metadata"].Properties["service"].Const = constant(t.Service)
	s.Properties["aggregateId"].Description = "the id of the " + t.Aggregate
	relax(s, strict)
	return s, nil
}

func constant(v any) *any { return &v }

// fieldSchemas has the schemas of the types that the reflection of Go types describes too loosely.
func fieldSchemas() map[reflect.Type]*jsonschema.Schema {
	zero, word := 0.0, "^[a-z][a-z_]*$"
	return map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[uuid.UUID](): {Type: "string", Format: "uuid"},
		reflect.TypeFor[time.Time](): {
			Type: "string", Format: "date-time", Pattern: "Z$", Description: "ISO 8601, in UTC",
		},
		reflect.TypeFor[inventoryapi.Status](): {
			Type: "string", Pattern: word, Description: "pending, confirmed, released or expired; more may come",
		},
		reflect.TypeFor[inventoryapi.OwnerKind](): {
			Type: "string", Pattern: word, Description: "order or customer; more may come",
		},
		reflect.TypeFor[money.Amount](): {
			Type: "object",
			Properties: map[string]*jsonschema.Schema{
				"amount_minor": {Type: "integer", Minimum: &zero, Description: "in minor units, cents for EUR"},
				"currency":     {Type: "string", Pattern: "^[A-Z]{3}$", Description: "ISO 4217"},
			},
			Required:             []string{"amount_minor", "currency"},
			AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
		},
	}
}

// relax removes what the Go types imply and the messages do not have: null for a list or for an absent member. Unless
// the schema is strict, it also allows unknown members.
func relax(s *jsonschema.Schema, strict bool) {
	if s == nil {
		return
	}
	if slices.Contains(s.Types, "null") {
		s.Type, s.Types = s.Types[len(s.Types)-1], nil
	}
	if !strict {
		s.AdditionalProperties = nil
	}
	relax(s.Items, strict)
	for _, p := range s.Properties {
		relax(p, strict)
	}
}
