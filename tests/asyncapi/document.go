// Package asyncapi is a consumer of events that knows only what an AsyncAPI document says: exchanges, messages and
// their schemas. It imports nothing of Holdfast, so that it shows what another company could build from the document.
// Its own rules are those of the document's description: deduplicate by eventId, order by aggregateVersion.
package asyncapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Document is what the consumer takes from an AsyncAPI document.
type Document struct {
	Channels []Channel
}

// Channel is an exchange and the messages that it carries.
type Channel struct {
	Name     string
	Exchange string
	schemas  map[string]*jsonschema.Schema // by the name of the message
}

// document has the members of AsyncAPI 3.0 that the consumer uses.
type document struct {
	AsyncAPI string `yaml:"asyncapi"`
	Channels map[string]struct {
		Address  string
		Bindings struct {
			AMQP struct {
				Is       string
				Exchange struct{ Name, Type string }
			}
		}
		Messages map[string]ref
	}
	Components struct {
		Messages map[string]struct {
			Name    string
			Payload struct {
				SchemaFormat string `yaml:"schemaFormat"`
				Schema       ref
			}
		}
	}
}

type ref struct {
	Ref string `yaml:"$ref"`
}

// Load reads a document and the schemas that it names.
func Load(path string) (*Document, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the document: %w", err)
	}
	var d document
	if err := yaml.Unmarshal(raw, &d); err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	if d.AsyncAPI != "3.0.0" {
		return nil, fmt.Errorf("%s is AsyncAPI %q; this consumer reads 3.0.0", path, d.AsyncAPI)
	}

	out := &Document{}
	for name, c := range d.Channels {
		amqp := c.Bindings.AMQP
		if amqp.Is != "routingKey" || amqp.Exchange.Type != "topic" || amqp.Exchange.Name == "" {
			return nil, fmt.Errorf("the channel %s is no topic exchange", name)
		}
		channel := Channel{Name: name, Exchange: amqp.Exchange.Name, schemas: map[string]*jsonschema.Schema{}}
		for _, message := range c.Messages {
			m, ok := d.Components.Messages[strings.TrimPrefix(message.Ref, "#/components/messages/")]
			if !ok {
				return nil, fmt.Errorf("the channel %s names %s, which is not in the document", name, message.Ref)
			}
			schema, err := compile(filepath.Join(filepath.Dir(path), m.Payload.Schema.Ref))
			if err != nil {
				return nil, fmt.Errorf("the message %s: %w", m.Name, err)
			}
			channel.schemas[m.Name] = schema
		}
		out.Channels = append(out.Channels, channel)
	}
	return out, nil
}

func compile(path string) (*jsonschema.Schema, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the schema: %w", err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("decode %s: %w", path, err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(path, value); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return c.Compile(path)
}

// Event is the envelope that every message of the document has.
type Event struct {
	EventType        string
	EventID          string
	AggregateID      string
	AggregateVersion int64
	Data             json.RawMessage
}

// read validates a message of the channel against its schema.
func (c Channel) read(key string, body []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("it is no JSON: %w", err)
	}
	schema, known := c.schemas[e.EventType]
	switch {
	case !known:
		return e, fmt.Errorf("the channel %s has no message %q", c.Name, e.EventType)
	case key != e.EventType:
		return e, fmt.Errorf("its routing key is %q and its type %q", key, e.EventType)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return e, fmt.Errorf("it is no JSON: %w", err)
	}
	if err := schema.Validate(value); err != nil {
		return e, fmt.Errorf("%s does not match its schema: %w", e.EventType, err)
	}
	return e, nil
}
