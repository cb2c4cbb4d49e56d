// Package correlation carries the id that one client request shares with everything it causes: HTTP calls, the
// workflow, its activities, database rows and events.
package correlation

import "context"

// Header is the HTTP header that carries the correlation id.
const Header = "X-Correlation-ID"

type key struct{}

// With returns a context that carries id; an empty id returns ctx unchanged.
func With(ctx context.Context, id string) context.Context {
	if id == "" {
		return ctx
	}
	return context.WithValue(ctx, key{}, id)
}

// WithDefault returns a context that carries id, unless ctx carries an id already.
func WithDefault(ctx context.Context, id string) context.Context {
	if From(ctx) != "" {
		return ctx
	}
	return With(ctx, id)
}

// From returns the id that ctx carries, or "".
func From(ctx context.Context) string {
	id, _ := ctx.Value(key{}).(string)
	return id
}

// Valid reports whether a client's id may be used: it is short, and its characters are harmless in a log line or a
// header.
func Valid(id string) bool {
	if id == "" || len(id) > 128 {
		return false
	}
	for _, r := range id {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.', r == ':':
		default:
			return false
		}
	}
	return true
}
