package httpx

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// locate returns the path of the first value in raw that does not fit its Go type, and what would;
// an empty path when the values fit, or when raw is no JSON.
func locate(raw []byte, t reflect.Type) (path, want string) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	var fields map[string]json.RawMessage
	var elements []json.RawMessage
	switch {
	case custom(t):
	case t.Kind() == reflect.Struct && json.Unmarshal(raw, &fields) == nil:
		for i := range t.NumField() {
			name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
			value, given := fields[name]
			if !given {
				continue
			}
			if inner, want := locate(value, t.Field(i).Type); want != "" {
				return join(name, inner), want
			}
		}
		return "", ""
	case t.Kind() == reflect.Slice && json.Unmarshal(raw, &elements) == nil:
		for i, value := range elements {
			if inner, want := locate(value, t.Elem()); want != "" {
				return join(fmt.Sprintf("[%d]", i), inner), want
			}
		}
		return "", ""
	}
	if json.Unmarshal(raw, reflect.New(t).Interface()) == nil {
		return "", ""
	}
	return "", kind(t)
}

// custom reports whether values of t read themselves from JSON, as UUIDs and times do.
func custom(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[json.Unmarshaler]()) || p.Implements(reflect.TypeFor[interface{ UnmarshalText([]byte) error }]())
}

func join(outer, inner string) string {
	if inner == "" || strings.HasPrefix(inner, "[") {
		return outer + inner
	}
	return outer + "." + inner
}

func kind(t reflect.Type) string {
	switch {
	case t.Name() == "UUID":
		return "a UUID"
	case t.Name() == "Time":
		return "a time as in 2026-01-31T12:00:00Z (RFC 3339)"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.String:
		return "a string"
	case t.Kind() == reflect.Slice:
		return "an array"
	case t.Kind() == reflect.Struct:
		return "an object"
	}
	return "an integer within range"
}
