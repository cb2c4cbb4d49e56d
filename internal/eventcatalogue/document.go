package eventcatalogue

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Files returns the documents of docs/events that consumers read: their content by file name.
func Files() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, t := range All() {
		schema, err := t.Schema(false)
		if err != nil {
			return nil, err
		}
		message, err := t.example()
		if err != nil {
			return nil, err
		}
		if out["schemas/"+t.file()+".json"], err = indented(schema); err != nil {
			return nil, fmt.Errorf("schema of %s: %w", t.Name, err)
		}
		if out["examples/"+t.file()+".json"], err = indented(message); err != nil {
			return nil, fmt.Errorf("example of %s: %w", t.Name, err)
		}
	}
	var err error
	out["asyncapi.yaml"], err = asyncAPI()
	return out, err
}

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(v)
	return b.Bytes(), err
}

type object = map[string]any

// asyncAPI returns an AsyncAPI 3 document. It has a channel for each exchange and an operation for each channel.
func asyncAPI() ([]byte, error) {
	channels, operations, messages := object{}, object{}, object{}
	for _, service := range []string{"inventory", "orders"} {
		channel, refs := service+"Events", object{}
		for _, t := range All() {
			if t.Service != service {
				continue
			}
			refs[t.Name] = ref("#/components/messages/" + t.Name)
			messages[t.Name] = messageOf(t)
		}
		exchange := service + ".events"
		channels[channel] = object{
			"address":     exchange,
			"title":       "Events of " + service,
			"description": "A topic exchange. The routing key of a message is its event type.",
			"servers":     []object{ref("#/servers/rabbitmq")},
			"messages":    refs,
			"bindings": object{"amqp": object{
				"is": "routingKey",
				"exchange": object{
					"name": exchange, "type": "topic", "durable": true, "autoDelete": false, "vhost": "/",
				},
				"bindingVersion": "0.3.0",
			}},
		}
		operations["publish"+strings.ToUpper(service[:1])+service[1:]+"Events"] = object{
			"action":  "send",
			"channel": ref("#/channels/" + channel),
			"summary": "Holdfast publishes what happened. Consumers bind a queue of their own to the exchange.",
		}
	}

	var b bytes.Buffer
	b.WriteString("# Generated from the Go types by make generate. Do not edit.\n")
	e := yaml.NewEncoder(&b)
	e.SetIndent(2)
	err := e.Encode(object{
		"asyncapi": "3.0.0",
		"info": object{
			"title":       "Holdfast events",
			"version":     "1.0.0",
			"description": introduction,
		},
		"defaultContentType": "application/json",
		"servers": object{"rabbitmq": object{
			"host": "localhost:5673", "protocol": "amqp", "protocolVersion": "0-9-1",
			"description": "RabbitMQ of the development stack; other installations have their own address.",
		}},
		"channels":   channels,
		"operations": operations,
		"components": object{"messages": messages},
	})
	return b.Bytes(), err
}

// introduction is what a consumer must know besides the schemas.
const introduction = `Every change of an order or of the stock is published at least once, after it is committed.

- **Deduplicate by eventId.** A message can arrive more than once. Its eventId is then the same.
- **Order by aggregateVersion.** The events of one aggregate leave in the order of their aggregateVersion. A consumer
  that was interrupted can still see an older event after a newer one, and then ignores it. There is no order between
  aggregates.
- **Ignore what you do not know.** A later release may add members and event types at any time. It never changes the
  meaning or the type of a member within a version.
- **No personal data.** Ask the API for the customer of an order.
`

func messageOf(t Type) object {
	return object{
		"name":        t.Name,
		"title":       t.Name,
		"summary":     t.Summary,
		"contentType": "application/json",
		"payload": object{
			"schemaFormat": "application/schema+json;version=draft-2020-12",
			"schema":       ref("./schemas/" + t.file() + ".json"),
		},
		"examples": []object{{"name": t.Name, "payload": ref("./examples/" + t.file() + ".json")}},
	}
}

func ref(target string) object { return object{"$ref": target} }
