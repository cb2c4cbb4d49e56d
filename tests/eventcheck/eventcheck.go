// Package eventcheck validates the events of a test's outbox against their published schemas. It is stricter than a
// consumer: it refuses a member that the schema does not have.
package eventcheck

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"holdfast/internal/eventcatalogue"
	"holdfast/internal/events"
	"holdfast/internal/outbox"
)

// RequireValid fails the test if an event in the outbox of a database is unknown, comes from another service, or does
// not match its schema. It returns how many events it has checked.
func RequireValid(t testing.TB, pool *pgxpool.Pool, service string) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	rows, err := pool.Query(ctx, `
		SELECT event_id, aggregate_type, aggregate_id, aggregate_version, event_type, schema_version, payload, headers,
			created_at
		FROM outbox
		WHERE event_type <> $1`, outbox.RedriveType)
	require.NoError(t, err)
	list, err := pgx.CollectRows(rows, pgx.RowToStructByName[row])
	require.NoError(t, err)
	for _, r := range list {
		require.NoError(t, r.check(service), "event %s %s: %s", r.EventType, r.EventID, r.Payload)
	}
	return len(list)
}

// AtEnd validates the outbox of a database when the test ends. Call it after the pool's own clean-up is registered.
func AtEnd(t testing.TB, pool *pgxpool.Pool, service string) {
	t.Helper()
	t.Cleanup(func() {
		if !t.Failed() {
			RequireValid(t, pool, service)
		}
	})
}

type row struct {
	EventID          uuid.UUID
	AggregateType    string
	AggregateID      uuid.UUID
	AggregateVersion int64
	EventType        string
	SchemaVersion    int32
	Payload, Headers []byte
	CreatedAt        time.Time
}

func (r row) check(service string) error {
	var headers events.Headers
	if err := json.Unmarshal(r.Headers, &headers); err != nil {
		return fmt.Errorf("decode the headers: %w", err)
	}
	message, err := json.Marshal(events.Envelope{
		EventType:        r.EventType,
		EventID:          r.EventID,
		Timestamp:        r.CreatedAt.UTC(),
		Version:          int(r.SchemaVersion),
		AggregateID:      r.AggregateID,
		AggregateVersion: r.AggregateVersion,
		Data:             r.Payload,
		Metadata:         events.Metadata{Service: service, CorrelationID: headers.CorrelationID},
	})
	if err != nil {
		return fmt.Errorf("encode the message: %w", err)
	}
	return Message(message, r.AggregateType)
}

// Message validates a message as it is on the wire. The aggregate is not checked if it is empty.
func Message(message []byte, aggregate string) error {
	all, err := compiled()
	if err != nil {
		return err
	}
	var named struct{ EventType string }
	if err := json.Unmarshal(message, &named); err != nil {
		return fmt.Errorf("decode the message: %w", err)
	}
	known, ok := all[named.EventType]
	if !ok {
		return fmt.Errorf("%q is not in the catalogue of events", named.EventType)
	}
	if aggregate != "" && aggregate != known.Aggregate {
		return fmt.Errorf("its aggregate is %q; the catalogue says %q", aggregate, known.Aggregate)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(message))
	if err != nil {
		return fmt.Errorf("decode the message: %w", err)
	}
	return known.schema.Validate(value)
}

type compiledType struct {
	eventcatalogue.Type
	schema *jsonschema.Schema
}

// compiled has the strict schema of every type by its name.
var compiled = sync.OnceValues(func() (map[string]compiledType, error) {
	out := map[string]compiledType{}
	for _, t := range eventcatalogue.All() {
		schema, err := t.Schema(true)
		if err != nil {
			return nil, err
		}
		raw, err := json.Marshal(schema)
		if err != nil {
			return nil, fmt.Errorf("encode the schema of %s: %w", t.Name, err)
		}
		if out[t.Name], err = compile(t, raw); err != nil {
			return nil, err
		}
	}
	return out, nil
})

func compile(t eventcatalogue.Type, raw []byte) (compiledType, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return compiledType{}, fmt.Errorf("decode the schema of %s: %w", t.Name, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(t.Name+".json", doc); err != nil {
		return compiledType{}, fmt.Errorf("schema of %s: %w", t.Name, err)
	}
	schema, err := c.Compile(t.Name + ".json")
	if err != nil {
		return compiledType{}, fmt.Errorf("schema of %s: %w", t.Name, err)
	}
	return compiledType{t, schema}, nil
}
