// Package exactid reads UUIDs from clients and accepts only one written form. It is pure.
package exactid

import (
	"errors"

	"github.com/google/uuid"
)

// length is the length of 8-4-4-4-12 hexadecimal digits with their hyphens.
const length = 36

// Rule says what Parse accepts, for the messages of its callers.
const Rule = "a UUID as in 90806882-983d-5164-87bd-3b84bc6ad730"

var errForm = errors.New("expected " + Rule)

// Parse reads a UUID of 36 characters; it accepts capital digits. It refuses the other forms that uuid.Parse accepts
// (urn:uuid:, any two characters around it, 32 digits): an id has one written form, so that a log, a cache and a rate
// limit that compare texts agree with code that compares ids.
func Parse(s string) (uuid.UUID, error) {
	if len(s) != length {
		return uuid.Nil, errForm
	}
	id, err := uuid.Parse(s)
	if err != nil {
		return uuid.Nil, errForm
	}
	return id, nil
}
