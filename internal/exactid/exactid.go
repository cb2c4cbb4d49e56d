// Package exactid reads UUIDs from outside in their one written form. It is pure.
package exactid

import (
	"errors"

	"github.com/google/uuid"
)

// length is that of 8-4-4-4-12 hexadecimal digits with their hyphens.
const length = 36

// Rule says what Parse takes, for the messages of those who call it.
const Rule = "a UUID as in 90806882-983d-5164-87bd-3b84bc6ad730"

var errForm = errors.New("expected " + Rule)

// Parse reads a UUID of 36 characters; capital digits become small. It refuses the other forms that uuid.Parse
// takes (urn:uuid:, any two characters around it, 32 digits): one id is written in one way, so that a log, a
// cache and a rate limit that see the text see the same thing as we do.
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
