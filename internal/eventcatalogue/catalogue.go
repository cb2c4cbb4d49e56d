// Package eventcatalogue lists every type of event that Holdfast publishes, and writes what consumers read about them:
// a JSON schema and an example for each type, and one AsyncAPI document. The types of the data belong to the services
// that publish them; this package only collects them.
package eventcatalogue

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"holdfast/internal/events"
)

//go:generate go run ./eventdocs ../../docs/events

// Type is a type of event as its publisher promises it.
type Type struct {
	Name      string // also the routing key
	Service   string // the publisher
	Aggregate string // what aggregateId names and aggregateVersion counts
	Summary   string // when the event is published, in one sentence
	Example   any    // the data of an example; its Go type is the type of the data
}

// Exchange returns the topic exchange to which the event is published.
func (t Type) Exchange() string { return t.Service + ".events" }

// file returns the name of the files about the type, without an extension.
func (t Type) file() string { return fmt.Sprintf("%s.v%d", t.Name, events.SchemaVersion) }

// All returns every type, sorted by name.
func All() []Type {
	all := slices.Concat(orderTypes(), inventoryTypes())
	slices.SortFunc(all, func(x, y Type) int { return strings.Compare(x.Name, y.Name) })
	return all
}

// Fixed ids and times of the examples.
var (
	exampleNumber      = "HF-104233"
	exampleOrder       = uuid.MustParse("3a3bd0c1-5b0f-5c7a-9c0e-0d5a2f6f1b11")
	exampleReservation = uuid.MustParse("7d0c1f5e-2a41-5f3b-8d53-6a1f0c9b2e22")
	exampleProduct     = uuid.MustParse("0190a1b2-c3d4-7e5f-8a6b-7c8d9e0f1a33")
	exampleItem        = uuid.MustParse("5e6f7a8b-9c0d-5e1f-a2b3-c4d5e6f7a844")
	exampleOperation   = uuid.MustParse("9b1deb4d-3b7d-5bad-9bdd-2b0d7b3dcb55")
	exampleEvent       = uuid.MustParse("01931f2e-7c4a-7b3d-9e5f-1a2b3c4d5e66")
	exampleTime        = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	exampleDeadline    = exampleTime.Add(15 * time.Minute)
)

// example returns the whole message of a type's example.
func (t Type) example() (events.Envelope, error) {
	data, err := json.Marshal(t.Example)
	if err != nil {
		return events.Envelope{}, fmt.Errorf("encode the example of %s: %w", t.Name, err)
	}
	aggregates := map[string]uuid.UUID{
		"order": exampleOrder, "reservation": exampleReservation, "item": exampleItem, "product": exampleProduct,
	}
	return events.Envelope{
		EventType:        t.Name,
		EventID:          exampleEvent,
		Timestamp:        exampleTime,
		Version:          events.SchemaVersion,
		AggregateID:      aggregates[t.Aggregate],
		AggregateVersion: exampleVersion(t),
		Data:             data,
		Metadata:         events.Metadata{Service: t.Service, CorrelationID: "5f2b8c0a-example"},
	}, nil
}

func exampleVersion(t Type) int64 {
	switch {
	case t.Name == events.TypeOrderCreated:
		return 0
	case t.Aggregate == "product":
		return exampleTime.UnixMicro()
	default:
		return 1
	}
}
