package merchantwebhook

import (
	"fmt"
	"slices"
	"strings"
)

// EventTypeError says that no event can have a type, in words for an operator.
type EventTypeError struct {
	Index int // of the type in its list
	Why   string
}

func (e *EventTypeError) Error() string { return e.Why }

// CheckEventTypes refuses types that name no event, so that a misspelt type does not go unnoticed. The error is an
// *EventTypeError.
func CheckEventTypes(types []string) error {
	known := Types()
	for i, t := range types {
		if slices.Index(types, t) < i {
			return &EventTypeError{i, fmt.Sprintf("%q is there twice", t)}
		}
		prefix, isPrefix := strings.CutSuffix(t, "*")
		if isPrefix && strings.HasSuffix(prefix, ".") {
			if !slices.ContainsFunc(known, func(k string) bool { return strings.HasPrefix(k, prefix) }) {
				return &EventTypeError{i, fmt.Sprintf("no event begins with %q; use order.* or inventory.*", prefix)}
			}
			continue
		}
		if !slices.Contains(known, t) {
			return &EventTypeError{i, fmt.Sprintf("there is no event %q; use order.*, inventory.* or one of: %s",
				t, strings.Join(known, ", "))}
		}
	}
	return nil
}
